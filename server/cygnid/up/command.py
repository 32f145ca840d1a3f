"""`cygnid up` and `cygnid down`: become, find, replace or stop the supervisor of a data folder."""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cygnid.core.postgres.child import exited
from cygnid.settings import from_environment
from cygnid.up import control, handover
from cygnid.up.build import this_build
from cygnid.up.health import api_url
from cygnid.up.installation import (
    Installation,
    default_data_folder,
    existing_installation,
    open_installation,
    remember_ports,
)
from cygnid.up.report import Reporter, Summary, UpFailed, follow
from cygnid.up.supervisor import Options, Supervisor

DEFAULT_PORT = 8000
SETUP_HINT = "for a day: cygni register; `cygnid setup-code` makes another"
_LOG_CEILING = 64 * 1024 * 1024
_STARTING_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class UpArguments:
    data: Path
    host: str
    port: int | None
    apps_port: int | None
    """None: not told. An installation keeps what it has."""
    detach: bool
    json: bool
    report_fd: int | None = None
    """Ours: set by the command that detached us, which waits there."""

    def argv(self) -> list[str]:
        """The same command in the foreground."""
        argv = [sys.executable, "-m", "cygnid", "up", "--data-dir", str(self.data), "--host", self.host]
        if self.port is not None:
            argv += ["--port", str(self.port)]
        if self.apps_port is not None:
            argv += ["--apps-port", str(self.apps_port)]
        return argv


def data_folder(given: Path | None) -> Path:
    """`--data-dir`, else CYGNI_HOME, else where an installation of this user belongs."""
    return (given or Path(os.environ.get("CYGNI_HOME") or default_data_folder())).absolute()


def up(arguments: UpArguments) -> int:
    """Exit code 0 when all is up (in the foreground: when it was stopped again). Raises Unsuitable, UpFailed and what
    else keeps it from beginning; whoever waits for the report is told too."""
    inherited = handover.received()
    reporter = Reporter(inherited.report if inherited else arguments.report_fd)
    try:
        return _up(arguments, inherited, reporter)
    except Exception as error:
        if reporter.fd is not None:
            reporter.failed(str(error))
        raise


def _up(arguments: UpArguments, inherited: handover.Handover | None, reporter: Reporter) -> int:
    uid_base = os.environ.get("CYGNI_UID_BASE")
    installation = open_installation(arguments.data, uid_base=int(uid_base) if uid_base else None)
    run = arguments.data / "run"
    if inherited:
        lock, listener = inherited.lock, socket.socket(fileno=inherited.listener)
        apps_port = arguments.apps_port or inherited.apps_port
    else:
        taken = handover.lock(run)
        if taken is None:
            _show(_join_running(arguments, run), as_json=arguments.json)
            return 0
        if arguments.detach:
            os.close(taken)
            _show(_detached(arguments), as_json=arguments.json)
            return 0
        lock, listener, apps_port = taken, *_ports(arguments, installation)
    _allow_many_files()
    env = _environment(arguments.data, listener, apps_port, installation)
    settings = from_environment(env)
    options = Options(
        data=arguments.data,
        env=env,
        uid=installation.uid_base,
        database_url=settings.database_url or None,
        binaries=settings.pg_bin,
        apps_url=settings.apps_url,
        apps_port=apps_port,
    )

    show = partial(_show, as_json=arguments.json) if reporter.fd is None else None

    async def supervise() -> bool:
        return await Supervisor(options, listener=listener, lock=lock, reporter=reporter, show=show).run(inherited)

    return 0 if asyncio.run(supervise()) else 1


def down(data: Path, *, apps: bool) -> int:
    """Stop supervisor, API, worker and database; with `apps` the edge and the instances too. Idempotent."""
    answer = control.ask(data / "run", {"do": "stop"}) if data.exists() else None
    if answer is None:
        print(f"Cygni does not run on {data}.", file=sys.stderr)
    else:
        pid = json.loads(next(answer))["stopping"]
        asyncio.run(exited(pid))
        print(
            "Stopped." if apps else "Stopped; applications go on (`cygnid down --apps` stops them too).",
            file=sys.stderr,
        )
    if apps and (installation := existing_installation(data)):
        from cygnid.adapters import stop_apps

        asyncio.run(stop_apps(from_environment(installation.environment(data, os.environ))))
    return 0


def _join_running(arguments: UpArguments, run: Path) -> Summary:
    running = follow(_ask_soon(run, {"do": "status"}))
    if running["build"] == this_build().id:
        return running
    print("Another build is running; handing over to this one ...", file=sys.stderr, flush=True)
    # what is wrong with ours is found here, where it costs nothing
    from_environment()
    request = control.Request(do="replace", argv=arguments.argv(), env=dict(os.environ))
    return follow(_ask_soon(run, request))


def _ask_soon(run: Path, request: control.Request) -> Iterator[bytes]:
    """The supervisor that holds the lock may be a moment before it listens."""
    deadline = time.monotonic() + _STARTING_SECONDS
    while (answer := control.ask(run, request)) is None:
        if time.monotonic() > deadline:
            raise UpFailed("a supervisor holds this data folder but does not answer: it may be stopping, try again")
        time.sleep(0.05)
    return answer


def _detached(arguments: UpArguments) -> Summary:
    reader, writer = os.pipe()
    log = arguments.data / "logs" / "cygnid.log"
    if log.exists() and log.stat().st_size > _LOG_CEILING:
        log.rename(log.with_name("cygnid.log.1"))
    with os.fdopen(reader, "rb") as lines:
        with log.open("ab") as file:
            subprocess.Popen(
                [*arguments.argv(), "--report-fd", str(writer)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=[writer],
                start_new_session=True,
            )
        os.close(writer)
        try:
            return follow(lines)
        except UpFailed as error:
            raise UpFailed(f"{error}\nIts log is {log}") from error


def _ports(arguments: UpArguments, installation: Installation) -> tuple[socket.socket, int]:
    """The API's, which listens, and the edge's: as told, else as the last time, else the usual ones."""
    port = arguments.port
    if port is None:
        port = installation.port or DEFAULT_PORT
    kept = installation.apps_port if port == installation.port else None
    listener = _listen(arguments.host, port)
    port = listener.getsockname()[1]
    apps_port = arguments.apps_port or kept or port + 1
    remember_ports(arguments.data, installation, port=port, apps_port=apps_port)
    return listener, apps_port


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise UpFailed(f"{host}:{port} cannot be used ({error.strerror}). Choose another --port.") from error


def _allow_many_files() -> None:
    """Connections are files: take what the machine allows, also for the children."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _environment(data: Path, listener: socket.socket, apps_port: int, installation: Installation) -> dict[str, str]:
    """Of the children; what the operator has set in ours counts, but for what the command line decides."""
    usual = {"CYGNI_API_URL": api_url(listener), "CYGNI_APPS_URL": f"http://{{host}}.localhost:{apps_port}"}
    return {**usual, **installation.environment(data, os.environ), "CYGNI_APPS_PORT": str(apps_port)}


def _show(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary), flush=True)
        return
    lines = [
        "Cygni is up." if summary["started"] else "Cygni is running already, of this same build.",
        f"  API   {summary['apiUrl']}",
        f"  apps  {summary['appsUrl']}",
        *([f"  token {summary['token']}   (shown once; `cygnid token` makes another)"] if summary["token"] else []),
        *([f"  setup {summary['setupCode']}   ({SETUP_HINT})"] if summary["setupCode"] else []),
        f"  data  {summary['dataDir']}",
    ]
    print("\n".join(lines), flush=True)
