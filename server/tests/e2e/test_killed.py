"""Workers and APIs killed in the middle of a deployment, one case for each thing it may be doing."""

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.harness import Installation, alive, edited, until

SLOW = """
build_command = "sleep 3"
release_command = "sleep 3"
"""
"""Long enough to be caught in it."""
STATUSES = ["building", "releasing", "deploying", "verifying"]


def slow(folder: Path, text: str) -> Path:
    made = edited("hello", folder, {"app.py": ("Hello from Cygni", text)})
    code = (made / "app.py").read_text()
    (made / "app.py").write_text(
        code.replace("ThreadingHTTPServer((", "import time; time.sleep(3)\nThreadingHTTPServer((")
    )
    (made / "cygni.toml").write_text(SLOW)
    return made


def killed_in(cygni: Installation, identity: str, status: str, program: str) -> None:
    def there() -> bool:
        now = cygni.deployment(identity)["status"]
        return now == status or (now not in ("queued", *STATUSES))

    until(there, f"{identity} {status}")
    pid = cygni.pids()[program]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "its end")


@pytest.mark.parametrize("status", STATUSES)
def test_a_worker_killed_in_any_step_leaves_an_end_and_a_site(
    shared: Installation, tmp_path: Path, status: str
) -> None:
    project = f"worker-{status}"
    shared.deploy(edited("hello", tmp_path / "1", {"app.py": ("Hello from Cygni", "before")}), project)
    identity = shared.begin(slow(tmp_path / "2", "after"), project)
    killed_in(shared, identity, status, "worker")
    assert "before" in shared.get(project).body or status == "verifying"
    ended = shared.ended(identity)
    if status == "releasing":
        # it may have done half of what must not be done twice
        assert (ended["status"], ended["failure"]["code"]) == ("failed", "release_command_interrupted")
        assert "before" in shared.get(project).body
    else:
        assert ended["status"] == "success", ended["failure"]
        assert "after" in shared.get(project).body
    until(lambda: len(shared.instances(project)) == 1, "the end of the others")


@pytest.mark.parametrize("status", STATUSES)
def test_a_killed_api_changes_nothing_for_a_deployment(shared: Installation, tmp_path: Path, status: str) -> None:
    project = f"api-{status}"
    identity = shared.begin(slow(tmp_path, "here"), project)
    killed_in(shared, identity, status, "api")
    until(lambda: shared.health() == "ok", "another API")
    ended = shared.ended(identity)
    assert ended["status"] == "success", ended["failure"]
    assert "here" in shared.get(project).body
