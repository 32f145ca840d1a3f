"""Clients that are not ours: generators of others read openapi.json, and what they make calls a real installation."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import SECONDS, Installation

ROOT = Path(__file__).parents[3]
FOREIGN = ROOT / "sdk" / "foreign"
UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH", "Failed to fetch", "error sending")


def run(*words: str | Path, cwd: Path, is_install: bool = False, **env: str) -> str:
    """What it says. A registry that cannot be reached skips the test."""
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=2 * SECONDS, check=False
    )
    if is_install and done.returncode and any(word in done.stderr for word in UNREACHABLE):
        pytest.skip(f"{words[0]} cannot reach its registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def installed_once(folder: Path, lock: Path) -> Generator[bool]:
    """False if what the lock file names has been installed into the folder before; who installs is alone."""
    if not os.access(folder.parent, os.W_OK):
        pytest.skip("the checkout belongs to another user, and the generators are installed into it")
    folder.mkdir(exist_ok=True)
    stamp, digest = folder / ".installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    with lock.open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        is_needed = not stamp.exists() or stamp.read_text() != digest
        yield is_needed
        if is_needed:
            stamp.write_text(digest)


def environment(installation: Installation) -> dict[str, str]:
    url = installation.summary["apiUrl"].removesuffix("/v1")
    return {"API": url, "TOKEN": installation.token}


def check(said: str, installation: Installation, name: str) -> None:
    found = json.loads(said)
    assert found["id"] == installation.api("GET", f"/projects/{name}")["id"]
    assert name in found["names"]
    code, request_id = found["error"]
    assert code == "not_found"
    assert request_id.startswith("req_")


def test_openapi_python_client(shared: Installation, tmp_path: Path) -> None:
    here = FOREIGN / "python"
    venv = here / ".venv"
    with installed_once(venv, here / "requirements.lock") as is_needed:
        if is_needed:
            uv = Path(sys.executable).with_name("uv")
            run(uv, "venv", "--allow-existing", "--python", sys.executable, venv, cwd=here)
            options = ("--require-hashes", "--python", venv / "bin" / "python")
            run(uv, "pip", "sync", *options, "requirements.lock", cwd=here, is_install=True)
    generate = ("generate", "--meta", "none", "--fail-on-warning", "--config", here / "generate.yaml")
    source = ("--path", ROOT / "openapi.json", "--output-path", tmp_path / "client")
    run(venv / "bin" / "openapi-python-client", *generate, *source, cwd=tmp_path)
    shutil.copy(here / "program.py", tmp_path)
    said = run(venv / "bin" / "python", "program.py", cwd=tmp_path, **environment(shared))
    check(said, shared, "from-python")


def test_openapi_ts(shared: Installation, tmp_path: Path) -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    here = FOREIGN / "node"
    modules = here / "node_modules"
    with installed_once(modules, here / "package-lock.json") as is_needed:
        if is_needed:
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=here, is_install=True)
    for name in ("program.ts", "tsconfig.json"):
        shutil.copy(here / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    source = ("-i", ROOT / "openapi.json", "-o", tmp_path / "client")
    run(modules / ".bin" / "openapi-ts", *source, "-p", "@hey-api/client-fetch", cwd=tmp_path)
    run(modules / ".bin" / "tsc", "-p", tmp_path, cwd=tmp_path)
    said = run("node", "out/program.js", cwd=tmp_path, **environment(shared))
    check(said, shared, "from-node")


def test_the_lock_file_has_no_addresses() -> None:
    lock = json.loads((FOREIGN / "node" / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
