"""What processes print becomes lines: each once, whole, in order, whatever happens between."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cygnid.core import db
from cygnid.resources.logs import actions, batch, files, lines, queries, store
from cygnid.resources.logs.batch import Limits
from cygnid.resources.logs.lines import EXCERPT, LONGEST, Mask
from tests.make.api import Api
from tests.resources.logs.harness import Shop, shop_of

MiB = 1024 * 1024


@pytest.fixture
async def shop(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_of(api, tmp_path) as made:
        yield made


def disk_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512


async def test_what_a_process_prints_is_seen_while_it_runs(shop: Shop) -> None:
    out, err = await shop.open("a.out"), await shop.open("a.err", stream="stderr")
    async with shop.tailing():
        script = "import sys; print('hello', flush=True); print('oh no', file=sys.stderr, flush=True); input()"
        with out.open("ab") as stdout, err.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=stdout, stderr=stderr
            )
        try:
            lines = await shop.see(2)
        finally:
            process.communicate(b"\n")
    assert {(line.message, line.stream, line.level) for line in lines} == {
        ("hello", "stdout", "info"),
        ("oh no", "stderr", "error"),
    }
    assert all(line.environment == "production" and line.source == "app" for line in lines)


async def test_lines_have_increasing_ids_in_the_order_they_were_written(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    with path.open("ab", buffering=0) as file:
        for number in range(300):
            file.write(f"line {number}\n".encode())
            if number % 50 == 0:
                await tailer.look()
    await tailer.look()
    lines = await shop.lines()
    assert [line.message for line in lines] == [f"line {number}" for number in range(300)]
    assert [line.id for line in lines] == sorted({line.id for line in lines})


async def test_a_closed_stream_is_read_to_its_end_and_its_file_deleted(shop: Shop) -> None:
    path = await shop.open(deployment_id="dep_1", source="build", step="build", stream=None)
    async with shop.tailing():
        path.write_bytes(b"one\nno newline at the end")
        await shop.close(path)
        assert [line.message for line in await shop.see(2)] == ["one", "no newline at the end"]
        async with asyncio.timeout(20):
            while await shop.streams():
                await asyncio.sleep(0.02)
    assert not path.exists()


async def test_is_read_says_when_every_closed_stream_is_stored(shop: Shop) -> None:
    path = await shop.open(deployment_id="dep_1")
    other = await shop.open("other", deployment_id="dep_1")
    tailer = shop.tailer()
    path.write_bytes(b"one\n")

    async def is_read() -> bool:
        async with db.read(shop.pool) as read:
            return await queries.is_read(read, "dep_1")

    assert await is_read()  # nothing is closed
    await shop.close(path)
    assert not await is_read()
    await tailer.begin()
    await tailer.look()
    assert await is_read()
    assert [row.path for row in await shop.streams()] == [str(other)]


async def test_a_stream_whose_file_never_came_is_forgotten(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    await tailer.look()
    await shop.close(path)
    await tailer.refresh()
    await tailer.look()
    assert not await shop.streams()


async def test_a_stream_opened_again_goes_on(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    path.write_bytes(b"one\n")
    await tailer.begin()
    await tailer.look()
    await shop.close(path)
    await shop.open()
    with path.open("ab") as file:
        file.write(b"two\n")
    await tailer.refresh()
    await tailer.look()
    assert await shop.messages() == ["one", "two"]
    assert path.exists()


async def test_what_is_written_to_a_closed_stream_at_the_last_moment_is_stored(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tailer = await shop.open(), shop.tailer()
    path.write_bytes(b"one\n")
    await shop.close(path)
    await tailer.begin()
    finish = tailer._finish

    async def late(row: queries.StreamRow) -> None:
        monkeypatch.setattr(tailer, "_finish", finish)
        with path.open("ab") as file:
            file.write(b"two\n")
        await finish(row)

    monkeypatch.setattr(tailer, "_finish", late)
    assert await tailer.look() == 0
    await tailer.look([])
    assert await shop.messages() == ["one", "two"]
    assert not path.exists()


async def test_an_unfinished_line_waits_but_not_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    path.write_bytes(b"half")
    wait = await tailer.look()
    assert 0 < wait <= batch.FLUSH_SECONDS
    with path.open("ab") as file:
        file.write(b" whole\nPassword: ")
    await tailer.look()
    assert await shop.messages() == ["half whole"]
    monkeypatch.setattr(batch, "FLUSH_SECONDS", 0)
    assert await tailer.look([]) == float("inf")
    assert await shop.messages() == ["half whole", "Password: "]


async def test_a_flush_leaves_no_half_character_and_no_half_secret(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tailer = await shop.open(), shop.tailer()
    shop.secrets.add("correct-horse")
    monkeypatch.setattr(batch, "FLUSH_SECONDS", 0)
    await tailer.begin()
    for written in ("grün".encode()[:3], "ün\nkey=correct-".encode()[1:], b"horse.\n"):
        with path.open("ab") as file:
            file.write(written)
        await tailer.look()
        await tailer.look()
    assert await shop.messages() == ["gr", "ün", "key=", "***."]


async def test_a_secret_is_masked_wherever_the_chunks_are_cut(shop: Shop) -> None:
    shop.secrets |= {"correct-horse", "correct-horse-battery"}
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    filler = "x" * 1000
    count = 3 * files.CHUNK // 1000
    path.write_text("".join(f"{filler} correct-horse-battery {n}\n" for n in range(count)) + "correct\x00-horse\n")
    while await tailer.look() == 0:
        pass
    messages = await shop.messages()
    assert messages == [*(f"{filler} *** {n}" for n in range(count)), "***"]


async def test_a_line_of_a_million_bytes_is_cut_and_the_next_is_whole(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    await tailer.begin()
    with path.open("ab", buffering=0) as file:
        file.write(b"a" * (files.CHUNK + 5))
        await tailer.look()
        file.write(b"b" * 1_000_000 + b"\nnext\n" + b"c" * (LONGEST + 1) + b"\n" + b"d" * LONGEST + b"\n")
    while await tailer.look() == 0:
        pass
    lines = await shop.lines()
    assert [(line.message[:4], len(line.message), line.truncated) for line in lines] == [
        ("aaaa", LONGEST, True),
        ("next", 4, False),
        ("cccc", LONGEST, True),
        ("dddd", LONGEST, False),
    ]


async def test_bytes_that_are_no_text_are_stored_as_text(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    path.write_bytes(b"a\0b\tc\r\n\x1b[31mred\x1b[0m\n\xff\xfe caf\xc3\xa9\n\n\0\0\0\n")
    await tailer.begin()
    await tailer.look()
    assert await shop.messages() == ["ab\tc", "red", "\ufffd\ufffd caf\xe9", "", ""]


async def test_a_file_that_was_replaced_is_read_from_its_start(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    path.write_bytes(b"old one\nold two\n")
    await tailer.begin()
    await tailer.look()
    new = path.with_name("new")
    new.write_bytes(b"new one, longer than the old\n")
    new.rename(path)
    await tailer.look()
    path.write_bytes(b"cut\n")  # truncated in place
    await tailer.look()
    assert await shop.messages() == ["old one", "old two", "new one, longer than the old", "cut"]


async def test_what_is_no_file_is_not_read(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer()
    secret = shop.folder / "secret"
    secret.write_text("root's own\n")
    path.symlink_to(secret)
    os.mkfifo(await shop.open("pipe"))
    await tailer.begin()
    await tailer.look()
    assert await shop.messages() == []


async def test_stored_bytes_are_given_back_to_the_disk(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer(limits=Limits(burst=100_000))
    path.write_bytes((b"x" * 999 + b"\n") * 4000)
    probe = path.with_name("probe")
    probe.write_bytes(b"x" * 65536)
    before = disk_bytes(probe)
    files.punch(probe, inode=probe.stat().st_ino, end=8192)
    if disk_bytes(probe) == before:
        pytest.skip("this file system has no holes")
    await tailer.begin()
    while await tailer.look() == 0:
        pass
    assert path.stat().st_size == 4_000_000
    assert EXCERPT <= disk_bytes(path) <= EXCERPT + 2 * MiB
    with path.open("ab") as file:
        file.write(b"after\n")
    await tailer.look()
    messages = await shop.messages()
    assert len(messages) == 4001
    assert messages[-1] == "after"


async def test_the_disk_is_given_back_also_of_what_is_written_faster_than_it_is_read(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer(limits=Limits(burst=100_000))
    path.write_bytes((b"x" * 999 + b"\n") * 12_000)
    before = disk_bytes(path)
    files.punch(path, inode=path.stat().st_ino, end=8192)
    if disk_bytes(path) == before:
        pytest.skip("this file system has no holes")
    await tailer.begin()
    assert await tailer.look() == 0, "there is more to read"
    assert disk_bytes(path) < before - 2 * MiB


async def test_a_flood_is_cut_and_told_of_once(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer(limits=Limits(per_second=0.001, burst=10))
    path.write_bytes(b"".join(b"%d\n" % number for number in range(5000)))
    await tailer.begin()
    assert 0 < await tailer.look() <= 1
    lines = await shop.lines()
    assert [line.message for line in lines[:-1]] == [str(number) for number in range(10)]
    assert (lines[-1].source, lines[-1].level) == ("system", "warn")
    assert lines[-1].message.startswith("4990 lines were dropped")


async def test_what_is_cut_of_a_flood_is_not_even_looked_at(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions of empty lines fit into one look, and all other streams wait for it."""
    looked: list[bytes] = []
    message = lines.message

    def look(raw: bytes, mask: Mask) -> tuple[str, bool]:
        looked.append(raw)
        return message(raw, mask)

    monkeypatch.setattr(lines, "message", look)
    path, tailer = await shop.open(), shop.tailer(limits=Limits(per_second=0.001, burst=10))
    path.write_bytes(b"\n" * 1_000_000)
    await tailer.begin()
    await tailer.look()
    assert len(looked) <= 11
    assert (await shop.messages())[-1].startswith("999990 lines were dropped")


async def test_one_flood_takes_nothing_from_another_stream(shop: Shop) -> None:
    flood, calm = await shop.open("flood"), await shop.open("calm")
    tailer = shop.tailer(limits=Limits(per_second=0.001, burst=10))
    flood.write_bytes(b"noise\n" * 5000)
    calm.write_bytes(b"calm\n" * 10)
    await tailer.begin()
    await tailer.look()
    assert (await shop.messages()).count("calm") == 10


async def test_what_gathered_while_nobody_looked_is_no_flood(shop: Shop) -> None:
    path = await shop.open()
    async with db.begin(shop.pool) as tx:
        await store.make_days(tx)
        await tx.execute("UPDATE log_head SET ms = (extract(epoch FROM now()) * 1000)::bigint - 3600 * 1000")
    path.write_bytes(b"one\n" * 3000)
    tailer = shop.tailer(limits=Limits(per_second=1, burst=10))
    await tailer.begin()
    await tailer.look()
    assert await shop.messages() == ["one"] * 3000


async def test_past_the_ceiling_the_oldest_unread_are_passed_over_with_a_note(shop: Shop) -> None:
    path, tailer = await shop.open(), shop.tailer(limits=Limits(unread_bytes=1000, burst=1000))
    path.write_bytes(b"".join(b"%09d\n" % number for number in range(500)))
    await tailer.begin()
    await tailer.look()
    lines = await shop.lines()
    numbers = [int(line.message) for line in lines if line.source == "app"]
    assert numbers == list(range(451, 500))  # the line in which the reading begins is no whole one
    assert [line.message for line in lines if line.source == "system"] == [
        "4500 bytes were dropped unread: too much was written at once."
    ]


async def test_the_platform_speaks_in_the_log(shop: Shop) -> None:
    async with shop.tailing():
        async with db.begin(shop.pool) as tx:
            await actions.system_line(tx, shop.project_id, "production", "it crashed", level="warn", process="web")
            await actions.system_line(tx, shop.project_id, None, "second")
        first, second = await shop.see(2)
    assert (first.source, first.level, first.message, first.process) == ("system", "warn", "it crashed", "web")
    assert (second.message, second.environment, second.stream) == ("second", None, None)


async def test_a_transaction_that_fails_opens_nothing_and_says_nothing(shop: Shop) -> None:
    with suppress(ZeroDivisionError):
        async with db.begin(shop.pool) as tx:
            await actions.open_stream(tx, shop.stream(shop.folder / "never"))
            await actions.system_line(tx, shop.project_id, None, "never")
            raise ZeroDivisionError
    tailer = shop.tailer()
    await tailer.begin()
    await tailer.look()
    assert await shop.streams() == []
    assert await shop.lines() == []


async def test_two_writers_at_once_store_each_line_once(shop: Shop) -> None:
    paths = [await shop.open(f"{number}.out") for number in range(4)]
    tailers = [shop.tailer() for _ in range(3)]
    for tailer in tailers:
        await tailer.begin()
    for turn in range(10):
        for path in paths:
            with path.open("ab") as file:
                file.write(f"{path.name} {turn}\n".encode())
        await asyncio.gather(*(tailer.look() for tailer in tailers))
    lines = await shop.lines()
    for path in paths:
        mine = [line.message for line in lines if line.message.startswith(path.name)]
        assert mine == [f"{path.name} {turn}" for turn in range(10)]


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from cygnid.core import db
from cygnid.core.wakeups import Wakeups
from cygnid.resources.logs import files, tailer

url, access_log, moment = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

async def none(read, project_id):
    return ()

async def main():
    if moment == "punch":
        files.punch = die
    elif moment == "commit":
        store = tailer.store
        async def stored(*arguments):
            await store(*arguments)
            die()
        tailer.store = stored
    pool = await db.connect(url, size=2)
    made = tailer.Tailer(pool, Wakeups(url), access_log=Path(access_log), secret_values=none,
                         limits=tailer.Limits(burst=1e9))
    await made.begin()
    while True:
        await made.look()

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "stored"), [("punch", True), ("commit", False)])
async def test_a_writer_killed_at_the_worst_moment_loses_and_doubles_nothing(
    shop: Shop, moment: str, stored: bool
) -> None:
    path = await shop.open()
    expected = [f"{number} {'x' * 500}" for number in range(5000)]
    path.write_text("".join(f"{line}\n" for line in expected))
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, shop.url, str(shop.folder / "access.log"), moment
    )
    async with asyncio.timeout(60):
        assert await killed.wait() == -signal.SIGKILL
    assert bool(await shop.lines()) == stored
    tailer = shop.tailer(limits=Limits(burst=1e9))
    await tailer.begin()
    while await tailer.look() == 0:
        pass
    assert await shop.messages() == expected
