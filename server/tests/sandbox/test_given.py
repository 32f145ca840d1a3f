"""A sandboxed command with descriptors of its caller, and one without a network."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from cygnid.sandbox.bubblewrap import INHERITED_FD
from tests.sandbox.harness import LIMIT, Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


async def test_what_is_given_is_its_standard_input_and_output_and_a_descriptor(stage: Stage) -> None:
    sandbox = await stage.open()
    ours, theirs = socket.socketpair()
    more, given = socket.socketpair()
    script = f"read -r line && echo back $line && echo more >&{INHERITED_FD}; echo fault >&2"
    spec = stage.spec(script, inherited=1)
    with ours, theirs, more, given:
        launched = await sandbox.launch(spec, stdin=theirs.fileno(), stdout=theirs.fileno(), inherited=[given.fileno()])
        theirs.close()
        given.close()
        ours.sendall(b"hello\n")
        async with asyncio.timeout(LIMIT):
            ended = await launched.wait()
        assert (ended.code, ours.recv(100), more.recv(100)) == (0, b"back hello\n", b"more\n")
        assert (ours.recv(100), more.recv(100)) == (b"", b""), "nobody else holds the other ends"
    assert spec.stderr.read_text() == "fault\n"


async def test_without_a_network_there_is_only_the_loopback_of_its_own(stage: Stage) -> None:
    sandbox = await stage.open()
    spec = stage.spec("cat /proc/net/dev", network="none")
    async with asyncio.timeout(LIMIT):
        await sandbox.run(spec)
    assert [line.partition(":")[0].strip() for line in spec.stdout.read_text().splitlines() if ":" in line] == ["lo"]
