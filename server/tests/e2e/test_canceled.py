"""Deployments canceled in the middle, one case for each thing they may be doing: nothing of them is left."""

import contextlib
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from cygni import APIStatusError
from tests.e2e.harness import ROOT, Installation, command_of, edited, until

PROJECT = "canceled"
STUBBORN = "trap '' TERM; (setsid sleep 1000 &); while :; do sleep 1; done"
"""It hears no SIGTERM, and something of it has left its process group."""
STEPS = ["source", "build", "release", "start", "health"]
_OF_ENVOY = "X-Forwarded-For"
_FOLDERS = (
    *("sources/*", "fetches/*", "builds/*", "artifacts/*/.work-*", "dependencies/*/.work-*", "commands/*"),
    *("instances/*", "logs/deployments/*", "logs/instances/*"),
)


def files(step: str, folder: Path) -> Path:
    """An app whose deployment stays in this step."""
    made = edited("hello", folder, {})
    if step in ("build", "release"):
        (made / "cygni.toml").write_text(f'{step}_command = """{STUBBORN}"""\n')
    elif step == "start":
        (made / "Procfile").write_text(f"web: {STUBBORN}\n")
    elif step in ("health", "verifying"):
        when = "500" if step == "health" else f'500 if "{_OF_ENVOY}" in self.headers else 200'
        edited("hello", folder, {"app.py": ("send_response(200)", f"send_response({when})")})
    return made


def hello(folder: Path, text: str) -> Path:
    return edited("hello", folder, {"app.py": ("Hello from Cygni", text)})


def begin(shared: Installation, step: str, folder: Path) -> str:
    if step == "source":
        return shared.api("POST", "/deployments", json={"projectId": PROJECT, "branch": "main"})["id"]
    return shared.begin(files(step, folder), PROJECT)


def runs(shared: Installation, identity: str, step: str) -> bool:
    found = shared.deployment(identity)
    assert found["finishedAt"] is None, found
    return any(each["name"] == step and each["status"] == "running" for each in found["steps"])


def traces(shared: Installation) -> list[str]:
    """What runs for projects and lies on the machine for them."""
    found = [str(path) for path in shared.groups()]
    found += [str(path) for pattern in _FOLDERS for path in shared.data.glob(pattern)]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(shared.data) in line]
    # an ordinary user's programs are all of one user: those of the platform come and go under names of their own
    pids = [pid for pid in shared.processes() if not ROOT or shared.is_tenant(pid)]
    found += [f"process {text}" for pid in pids if (text := command_of(pid)).startswith(("sleep", "/bin/sh", "git"))]
    return sorted(found)


@contextlib.contextmanager
def silent_repository(shared: Installation) -> Generator[None]:
    """The project's git server takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/shop.git"
        shared.api("PATCH", f"/projects/{PROJECT}", json={"source": {"repositoryUrl": url}})
        try:
            yield
        finally:
            shared.api("PATCH", f"/projects/{PROJECT}", json={"source": None})


@pytest.fixture(scope="module")
def calm(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], list[str]]:
    """An app runs; what is on the machine when nothing else does."""
    shared.deploy(hello(tmp_path_factory.mktemp("calm"), "before"), PROJECT)
    shared.api("PATCH", f"/projects/{PROJECT}/environments/production", json={"autoDeploy": False})

    def look() -> list[str]:
        seen: list[list[str]] = [[]]

        def is_calm() -> bool:
            seen.append(traces(shared))
            return seen[-1] == seen[-2]

        until(is_calm, "calm")
        return seen[-1]

    return look


@pytest.mark.parametrize("step", STEPS)
def test_canceled_in_any_step_nothing_is_left(
    shared: Installation, calm: Callable[[], list[str]], tmp_path: Path, step: str
) -> None:
    serves, before = shared.get(PROJECT).body, calm()
    with silent_repository(shared) if step == "source" else contextlib.nullcontext():
        identity = begin(shared, step, tmp_path / "1")
        until(lambda: runs(shared, identity, step), f"{identity} in {step}")
        waiting = shared.begin(hello(tmp_path / "2", "waits"), PROJECT)
        assert shared.deployment(waiting)["status"] == "queued"
        shared.api("POST", f"/deployments/{waiting}/cancel")
        assert shared.deployment(waiting)["status"] == "canceled", "what waits ends at once"
        shared.api("POST", f"/deployments/{identity}/cancel")
        assert shared.ended(identity)["status"] == "canceled"
    until(lambda: traces(shared) == before, f"the end of what {step} left: {set(traces(shared)) ^ set(before)}")
    assert len(shared.instances(PROJECT)) == 1
    assert shared.get(PROJECT).body == serves
    shared.deploy(hello(tmp_path / "3", f"after {step}"), PROJECT)
    assert f"after {step}" in shared.get(PROJECT).body


def test_a_switch_is_not_canceled_and_one_that_fails_leaves_nothing(
    shared: Installation, calm: Callable[[], list[str]], tmp_path: Path
) -> None:
    serves, before = shared.get(PROJECT).body, calm()
    identity = begin(shared, "verifying", tmp_path)
    until(lambda: shared.deployment(identity)["status"] == "verifying", "the switch")
    with pytest.raises(APIStatusError) as refused:
        shared.api("POST", f"/deployments/{identity}/cancel")
    assert (refused.value.status, refused.value.code) == (409, "invalid_state")
    ended = shared.ended(identity)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "switch_failed")
    until(lambda: traces(shared) == before, "the end of what the switch left")
    assert shared.get(PROJECT).body == serves
