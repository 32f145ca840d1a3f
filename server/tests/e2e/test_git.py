"""Deploying by git push and from a repository elsewhere, on a whole installation."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import SECONDS, Installation, edited, until
from tests.source.git_server import GitServer, Repository


def git(*argv: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd.parent),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(
        ["git", *argv], cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def work(shared: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A repository with an example, whose remote is a new project of this test's name."""
    name = re.sub(r"[^a-z]+", "-", request.node.name.removeprefix("test_"))[:30].strip("-")
    shared.api("POST", "/projects", json={"name": name})
    folder = edited("static", tmp_path, {})
    origin = shared.summary["apiUrl"].removesuffix("/v1").replace("http://", f"http://x:{shared.token}@")
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    git("remote", "add", "cygni", f"{origin}/git/{name}.git", cwd=folder)
    commit(folder, "index.html", "<h1>one</h1>")
    return folder


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "-m", f"Change {name}", cwd=folder)


def project_of(folder: Path) -> str:
    return git("remote", "get-url", "cygni", cwd=folder).stdout.rpartition("/")[2].strip().removesuffix(".git")


def test_push_again_and_roll_back(shared: Installation, work: Path) -> None:
    project = project_of(work)
    first = git("push", "cygni", "main", cwd=work).stderr
    assert "✓ Build" in first
    assert "✓ Live" in first
    assert f"remote: {shared.api('GET', f'/projects/{project}')['url']}" in first
    assert shared.get(project).body == "<h1>one</h1>"
    assert shared.token not in first
    commit(work, "index.html", "<h1>two</h1>")
    git("push", "cygni", "main", cwd=work)
    assert shared.get(project).body == "<h1>two</h1>"
    assert "Everything up-to-date" in git("push", "cygni", "main", cwd=work).stderr
    commit(work, "other.html", "other")
    assert "no environment follows this branch" in git("push", "cygni", "main:topic", cwd=work).stderr
    assert "deploys nothing" in git("push", "cygni", ":topic", cwd=work).stderr
    assert shared.get(project, "/other.html").status == 404
    shared.cygni("rollback", "--project", project)
    assert shared.get(project).body == "<h1>one</h1>"


def test_failing_build_keeps_the_push(shared: Installation, work: Path) -> None:
    project = project_of(work)
    git("push", "cygni", "main", cwd=work)
    commit(work, "cygni.toml", 'build_command = "echo the reason is here; exit 3"\n')
    said = git("push", "cygni", "main", cwd=work)
    assert said.returncode == 0
    assert "Not deployed:" in said.stderr
    assert "the reason is here" in said.stderr
    assert "What was pushed is stored" in said.stderr
    assert shared.get(project).body == "<h1>one</h1>"
    assert "Everything up-to-date" in git("push", "cygni", "main", cwd=work).stderr


def test_what_was_pushed_is_deployed_by_name(shared: Installation, work: Path) -> None:
    project = project_of(work)
    git("push", "cygni", "main:topic", cwd=work)
    first = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    commit(work, "index.html", "<h1>two</h1>")
    git("push", "cygni", "main:topic", cwd=work)
    asked = {"projectId": project, "branch": "topic"}
    newest = shared.ended(shared.api("POST", "/deployments", json=asked)["id"])
    assert newest["status"] == "success"
    assert newest["commit"]["sha"] == git("rev-parse", "HEAD", cwd=work).stdout.strip()
    assert shared.get(project).body == "<h1>two</h1>"
    earlier = shared.ended(shared.api("POST", "/deployments", json={**asked, "commitSha": first})["id"])
    assert (earlier["status"], earlier["commit"]["sha"]) == ("success", first)
    assert shared.get(project).body == "<h1>one</h1>"
    shared.cygni("deploy", "--branch", "topic", "--project", project)
    assert shared.get(project).body == "<h1>two</h1>"


def test_a_repository_elsewhere_goes_live_and_so_do_its_new_commits(shared: Installation, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    repository = Repository.make(tmp_path / "served" / "shop.git")
    first = repository.commit({"index.html": "<h1>one</h1>"})
    with GitServer(tmp_path / "served").running() as server:
        shared.cygni("projects", "create", "elsewhere", "--repo", server.remote("shop.git"))
        until(lambda: shared.get("elsewhere").body == "<h1>one</h1>", "the first commit live")
        second = repository.commit({"index.html": "<h1>two</h1>"}, message="Say two")
        until(lambda: shared.get("elsewhere").body == "<h1>two</h1>", "the second commit live")
        newest, oldest = shared.api("GET", "/deployments", query={"projectId": "elsewhere"})
        assert [newest["commit"]["sha"], oldest["commit"]["sha"]] == [second, first]
        assert (newest["commit"]["message"].strip(), newest["trigger"]) == ("Say two", "git")
        shared.cygni("deploy", "--commit", first, "--project", "elsewhere")
        assert shared.get("elsewhere").body == "<h1>one</h1>"


@pytest.mark.parametrize("during", ["receiving", "building"])
def test_api_killed_in_push(shared: Installation, work: Path, during: str) -> None:
    """Nothing is lost."""
    project = project_of(work)
    (work / "large.bin").write_bytes(os.urandom(16 << 20 if during == "receiving" else 1))
    commit(work, "cygni.toml", 'build_command = "sleep 3"\n')
    pushing = subprocess.Popen(
        ["git", "push", "cygni", "main"], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if during == "receiving":
        until(lambda: list((shared.data / "git").glob("of-*/*/")), "git, which receives")
    else:
        until(lambda: shared.api("GET", "/deployments", query={"projectId": project}), "the deployment")
    pid = shared.pids()["api"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    pushing.wait(SECONDS)
    until(lambda: shared.health() == "ok", "another API")
    git("push", "cygni", "main", cwd=work)  # what came through is there already
    until(lambda: shared.get(project).status == 200, "the site")
    assert shared.get(project).body == "<h1>one</h1>"
    found = shared.api("GET", "/deployments", query={"projectId": project})
    assert [each["status"] for each in found] == ["success"], "each commit is deployed once"
    until(lambda: not list((shared.data / "git").glob("of-*/*/")), "the end of what git had begun")
