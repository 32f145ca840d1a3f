"""What the tools of this machine print today still leads to the next step."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from cygnid.resources.deployments.steps.advice import advice

PACKAGE = '{"name": "shop", "version": "1.0.0"}'
OFFLINE = "--offline --no-audit --no-fund --no-update-notifier"
LISTEN = "import socket, sys; a = socket.create_server(('127.0.0.1', 0)); socket.create_server(a.getsockname())"
SERVE = "require('net').createServer().listen(0, function () { require('net').createServer().listen(this.address()) })"
LOCK = (
    '{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "shop", "version": "1.0.0"}}}'
)
DEPENDS = '{"name": "shop", "version": "1.0.0", "dependencies": {"b": "file:./b"}}'
GO = {
    "go.mod": "module a\n\ngo 1.20\n\nrequire example.com/b v1.0.0\n",
    "main.go": 'package main\n\nimport _ "example.com/b"\n',
}
CRATE = {"Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n', "src/main.rs": "fn main() {}\n"}

CASES: dict[str, tuple[str, str, dict[str, str], str]] = {
    "no program": ("sh", "nosuch --version", {}, "The program nosuch is not there"),
    "a script that may not run": ("sh", "./build.sh", {"build.sh": "true"}, "--chmod=+x ./build.sh"),
    "no module": ("python3", "python3 -c 'import nosuch'", {}, "If nosuch is not a module"),
    "no variable": ("python3", "python3 -c 'import os; os.environ[\"NO_SUCH\"]'", {}, "env set NO_SUCH="),
    "a port that is taken": ("python3", f'python3 -c "{LISTEN}"', {}, "$PORT"),
    "a port that is taken, in Node": ("node", f'node -e "{SERVE}"', {}, "$PORT"),
    "no package of Node's": ("node", "node -e \"require('no-such')\"", {}, "npm install no-such"),
    "no script": ("npm", "npm run build", {"package.json": PACKAGE}, "no script build"),
    "npm's lock": (
        "npm",
        f"npm ci {OFFLINE}",
        {"package.json": DEPENDS, "package-lock.json": LOCK, "b/package.json": PACKAGE},
        "commit package-lock.json",
    ),
    "Node's memory": (
        "node",
        "node --max-old-space-size=16 -e 'const all = []; for (;;) all.push(new Array(1000).fill(all.length))'",
        {},
        "NODE_OPTIONS",
    ),
    "go.sum": (
        "go",
        "GOFLAGS=-mod=mod GOPROXY=off go vet ./... ; GOFLAGS=-mod=readonly go build ./...",
        GO,
        "go mod tidy",
    ),
    "cargo's lock": ("cargo", "cargo build --locked --offline", CRATE, "generate-lockfile"),
    "a header": ("cc", "cc -c a.c", {"a.c": "#include <libpq-fe-nosuch.h>\n"}, "missing: libpq-fe-nosuch.h"),
    "a full disk": ("sh", "cat /dev/zero > /dev/full", {}, "disk is full"),
}


@pytest.mark.parametrize(("tool", "command", "files", "said"), CASES.values(), ids=CASES)
async def test_the_last_lines_of_a_real_failure_lead_on(
    tmp_path: Path, tool: str, command: str, files: dict[str, str], said: str
) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool} on this machine")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command),
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode != 0
    lines = output.decode(errors="replace").splitlines()[-120:]
    assert said in (advice(lines) or ""), "\n".join(lines)
