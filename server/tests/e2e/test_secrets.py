"""A secret that is used everywhere is found nowhere: not in the database, a file of the platform, an answer, an event,
or what a process was started with."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.harness import ROOT, Installation, until

SECRET = "hunter2-sehr-geheim-4711"
PEM = "-----BEGIN KEY-----\nMIIEgeheimgeheimgeheim4711\n-----END KEY-----\n"
APP = """\
import http.server, os, sys
print("my password is", os.environ["PASSWORD"], flush=True)
print("my password is", os.environ["PASSWORD"], file=sys.stderr, flush=True)
print(open(os.environ["KEY_FILE"]).read(), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"well")
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
NEEDLES = (SECRET.encode(), PEM.splitlines()[1].encode())


@pytest.mark.skipif(not ROOT, reason="the platform's files and processes belong to several users")
def test_a_secret_is_nowhere(shared: Installation, tmp_path: Path) -> None:
    shared.api("POST", "/projects", json={"name": "secretive"})
    for key, value, kind in (("PASSWORD", SECRET, "secret"), ("KEY_FILE", PEM, "file")):
        body = {"projectId": "secretive", "key": key, "value": value, "type": kind, "environments": ["production"]}
        shared.api("POST", "/env", json=body)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "Procfile").write_text("web: python app.py\nrelease: echo released with $PASSWORD\n")
    (tmp_path / "cygni.toml").write_text('build_command = "echo built with $PASSWORD"\n')
    said = shared.deploy(tmp_path, "secretive")
    printed = said.stdout + said.stderr
    assert shared.get("secretive").body == "well"
    until(lambda: "my password is ***" in _log(shared), "the app's own lines in the log")
    log = _log(shared)
    assert "built with ***" in log
    shared.api("POST", "/env/export", json={
        "projectId": "secretive", "environment": "production", "format": "json", "reason": "to see it in the audit log",
    })  # fmt: skip
    assert not [where for where, text in {**_told(shared), "the command line": printed}.items() if _has(text.encode())]
    assert not asyncio.run(_tables_with_it(_database(shared)))
    assert not _files_with_it(shared)
    assert not _arguments_with_it()


def _log(shared: Installation) -> str:
    return json.dumps(shared.api("GET", "/logs", query={"projectId": "secretive", "limit": 1000}))


def _told(shared: Installation) -> dict[str, str]:
    paths = ("/audit-logs", "/deployments", "/env?projectId=secretive", "/projects/secretive", "/logs")
    return {path: json.dumps(shared.api("GET", path)) for path in paths}


def _database(shared: Installation) -> str:
    """As the worker was told it."""
    environment = Path(f"/proc/{shared.pids()['worker']}/environ").read_bytes().split(b"\0")
    return next(pair for pair in environment if pair.startswith(b"CYGNI_DATABASE_URL=")).decode().partition("=")[2]


async def _tables_with_it(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        listed = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found: list[str] = []
        for (table,) in listed:
            rows = await connection.fetch(f'SELECT to_jsonb(t)::text AS row FROM "{table}" t')
            found += [table for row in rows if _has(row["row"].encode())]
        return found
    finally:
        await connection.close()


def _files_with_it(shared: Installation) -> list[str]:
    """What tenants and the platform keep: all but the files that a process prints to, which are emptied as they are
    read and deleted when it ends."""
    found: list[str] = []
    for path in shared.data.rglob("*"):
        others = "toolchains" in path.parts or path.suffix in (".out", ".err") or path.is_symlink()
        if not others and path.is_file() and path.stat().st_size < 64 * 1024 * 1024 and _has(path.read_bytes()):
            found.append(str(path))
    return found


def _arguments_with_it() -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if _has(path.read_bytes()):
                found.append(str(path))
        except OSError:
            continue
    return found


def _has(text: bytes) -> bool:
    return any(needle in text for needle in NEEDLES)
