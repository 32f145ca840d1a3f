"""Who reaches what, on a machine and in a world made of network namespaces."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.sandbox import enclosed as place
from tests.sandbox.harness import LIMIT

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks"),
    pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="what is tried inside is written in Python"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) is missing"),
]
MACHINE = {
    *(f"tcp {address} {place.API}" for address in ("127.0.0.1", "::1", place.STUB, place.GATEWAY)),
    *(f"{kind} {place.MACHINE} {place.API}" for kind in ("tcp", "udp")),
    f"tcp {place.MACHINE_6} {place.API}",
}
METADATA = {f"tcp {address} {place.WEB}" for address in (place.METADATA, place.LINK_LOCAL)}
STUB = {f"{kind} {place.STUB} {place.DNS}" for kind in ("tcp", "udp")}
RESOLVER = {f"{kind} {place.RESOLVER} {place.DNS}" for kind in ("tcp", "udp")}


def web(*addresses: str) -> set[str]:
    return {f"tcp {address} {place.WEB}" for address in addresses}


@pytest.fixture(scope="module")
def found() -> Mapping[str, Mapping[str, str]]:
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-m", "tests.sandbox.enclosed", "machine"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        check=True,
        timeout=LIMIT * 2,
    )
    said = json.loads(done.stdout)
    neighbour = f"tcp {said.pop('neighbour')} {place.APP}"
    return {
        who: {"neighbour" if each == neighbour else each: what for each, what in had.items()}
        for who, had in said.items()
    }


def reached(answers: Mapping[str, str]) -> set[str]:
    """What answered: with an address, and not with the name of an error."""
    return {each for each, said in answers.items() if not said.isupper()}


def test_the_platform_reaches_all_of_it(found: Mapping[str, Mapping[str, str]]) -> None:
    """So that whatever others do not reach is there to be reached."""
    assert reached(found["platform"]) == set(found["platform"])
    assert MACHINE | METADATA | STUB | RESOLVER | {"neighbour"} < set(found["platform"])


def test_a_build_reaches_the_internet_its_resolvers_and_what_is_allowed(
    found: Mapping[str, Mapping[str, str]],
) -> None:
    """No metadata, no intranet, none of the machine's addresses, and no instance, though `ALLOWED` has it in it."""
    allowed = web(place.PUBLIC, place.PUBLIC_6, place.MIRROR, place.MIRROR_6)
    assert reached(found["build"]) == allowed | STUB | RESOLVER
    refusals = {said for each, said in found["build"].items() if each not in reached(found["build"])}
    assert refusals <= {"ECONNREFUSED", "EPERM"}  # at once, where silence would make a build hang


def test_an_instance_reaches_all_but_metadata_the_machine_and_its_neighbours(
    found: Mapping[str, Mapping[str, str]],
) -> None:
    outside = web(place.PUBLIC, place.PRIVATE, place.MIRROR, place.RESOLVER)
    assert reached(found["instance"]) == outside | RESOLVER
    assert {found["instance"][each] for each in outside} == {place.MACHINE}


def test_nobody_outside_reaches_an_instance(found: Mapping[str, Mapping[str, str]]) -> None:
    assert found["world"] == {"neighbour": "TIMEOUT"}
