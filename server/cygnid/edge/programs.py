"""Envoy and the file server as processes: started by the start script, found again, replaced by overlap, stopped."""

import asyncio
import contextlib
import hashlib
import os
import resource
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cygnid.edge.admin import CDS, LDS, RDS, Admin
from cygnid.edge.base import EdgeUnavailable
from cygnid.edge.envoy_bootstrap import bootstrap, listener
from cygnid.edge.envoy_config import EdgeConfig
from cygnid.edge.files import files_config
from cygnid.edge.folder import Folder, Generation, Remembered, document
from cygnid.edge.process import Process, find
from cygnid.edge.program_logs import outgrown, tail, trim
from cygnid.edge.start_script import Program, as_user, start_script

_START_SECONDS = 60
_LISTEN_WHILE_LEAVING_SECONDS = 5
"""A replaced Envoy says goodbye with each answer for this long before it stops listening."""
_END_SECONDS = 5
_PORT_SECONDS = 2
"""A killed Envoy is a zombie some moments before the last of its threads lets go of the port."""


@dataclass(frozen=True, kw_only=True)
class EdgeSetup:
    """Everything the edge is told at construction. The uids are None for an ordinary user; as root the binaries, the
    releases and the access log's folder must be reachable for them."""

    folder: Path
    envoy: Path
    file_server: Path
    releases: Path
    """Every static release is a folder somewhere below this one."""
    access_log: Path
    apps_host: str
    apps_port: int
    uid: int | None
    files_uid: int | None
    concurrency: int = 2
    idle_seconds: int = 300
    drain_seconds: int = 300
    """How long a replaced process may go on with what it had begun; then its last connections are cut."""


class Programs:
    def __init__(self, setup: EdgeSetup, folder: Folder) -> None:
        self._setup, self._folder = setup, folder

    def envoys(self, state: Remembered) -> list[tuple[Process, Admin]]:
        """Every Envoy that serves: the current one first, then those that are leaving."""
        names = [_name("envoy", state.envoy), *(name for name in state.leaving if name.startswith("envoy-"))]
        found = [(self._find(name), Admin(self._admin_socket(name))) for name in names]
        return [(process, admin) for process, admin in found if process]

    def current(self, state: Remembered) -> tuple[Process | None, Process | None]:
        """(Envoy, file server)."""
        return self._find(_name("envoy", state.envoy)), self._find(_name("files", state.files))

    def leaving(self, state: Remembered) -> list[Process]:
        return [process for name in state.leaving if (process := self._find(name))]

    def log(self) -> Path:
        return self._folder / "envoy.log"

    def prepare(self) -> None:
        """The folders and the access log, with their owners; idempotent."""
        # Envoy lists the folder, to be told of renames in it.
        self._own(self._folder.path, None, self._setup.uid, 0o751)
        self._own(self._folder / "run", self._setup.uid, self._setup.uid, 0o700)
        self._own(self._folder / "files", self._setup.files_uid, self._setup.uid, 0o750)
        log = self._setup.access_log
        if not log.exists():
            log.touch(0o600)
            if self._setup.uid is not None:
                os.chown(log, self._setup.uid, self._setup.uid)

    async def converge(self, *, term: int) -> None:
        """Both programs run as they should: what is dead starts, what has another binary or configuration is replaced
        by overlap. Raises EdgeUnavailable with the reason when a program does not come up; the old one then stays."""
        before = self._folder.remembered()
        after = Remembered(
            version=before.version,
            envoy=_next(before.envoy, self._envoy_fingerprint()),
            files=_next(before.files, self._files_fingerprint()),
            leaving=dict(before.leaving),
        )
        if after != before or None in self.current(before):
            await self._start(before, after, term)
        await self._see_off(after, term)

    async def trim_logs(self, *, term: int) -> None:
        for log in (self._folder / "envoy.log", self._folder / "files.log"):
            if outgrown(log):
                async with self._folder.fenced(term):
                    await asyncio.to_thread(trim, log)

    async def stop(self) -> None:
        state = self._folder.remembered()
        processes = [*self.current(state), *self.leaving(state)]
        await asyncio.gather(*(process.end(seconds=_END_SECONDS) for process in processes if process))

    async def _start(self, before: Remembered, after: Remembered, term: int) -> None:
        names = [_name("envoy", after.envoy), _name("files", after.files)]
        fresh = [name for name in names if not self._find(name)]
        # One of a start that was interrupted runs without being remembered: it is kept, and has the port.
        if not self.envoys(before) and names[0] in fresh:
            await self._check_port()
        await self._write(after, term)
        await self._run("start.next")
        try:
            await self._until_ready(after)
        except EdgeUnavailable:
            for name in fresh:
                if process := self._find(name):
                    await process.end(seconds=_END_SECONDS)
            raise
        async with self._folder.fenced(term):
            (self._folder / "start.next").rename(self._folder / "start")
            self._point_files_socket(after)
        for old, new in ((before.envoy, after.envoy), (before.files, after.files)):
            if old.number not in (0, new.number):
                after.leaving[_name("envoy" if new is after.envoy else "files", old)] = time.time()
        await self._folder.remember(after, term=term)

    async def _write(self, state: Remembered, term: int) -> None:
        setup, folder = self._setup, self._folder
        envoy, files = _name("envoy", state.envoy), _name("files", state.files)
        config = self._config(envoy)
        await folder.publish(f"{envoy}.json", msgspec.json.encode(bootstrap(config)), term=term)
        await folder.publish(config.lds_file.name, document([listener(config)])[1], term=term)
        body = msgspec.json.encode(files_config(socket=self._files_socket(files), releases=setup.releases))
        await folder.replace(f"{files}.json", body, term=term, owner=setup.files_uid)
        if not (folder / "files.sock").is_symlink():
            async with folder.fenced(term):
                self._point_files_socket(state)
        script = start_script(
            folder=folder.path,
            releases=setup.releases,
            envoy=Program(
                name=envoy, log="envoy.log", socket=self._admin_socket(envoy), command=self._envoy_command(envoy)
            ),
            files=Program(
                name=files, log="files.log", socket=self._files_socket(files), command=self._files_command(files)
            ),
        )
        await folder.replace("start.next", script.encode(), term=term, mode=0o700)

    async def _run(self, script: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            str(self._folder / script),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise EdgeUnavailable(f"the edge's start script failed: {said.decode(errors='replace')[-500:]}")

    async def _until_ready(self, state: Remembered) -> None:
        envoy, files = _name("envoy", state.envoy), _name("files", state.files)
        ready = {
            (envoy, "envoy.log"): lambda: self._envoy_ready(envoy),
            (files, "files.log"): lambda: _answers(self._files_socket(files)),
        }
        for (name, log), check in ready.items():
            deadline = time.monotonic() + _START_SECONDS
            while not await check():
                if not self._find(name):
                    raise EdgeUnavailable(f"{name} ended while it started: {tail(self._folder / log)}")
                if time.monotonic() > deadline:
                    raise EdgeUnavailable(f"{name} did not start in {_START_SECONDS} s: {tail(self._folder / log)}")
                await asyncio.sleep(0.01)

    async def _envoy_ready(self, name: str) -> bool:
        """Live alone says nothing: with a file that it refuses Envoy is live and listens nowhere."""
        admin = Admin(self._admin_socket(name))
        wanted = {CDS: "cds.json", RDS: "rds.json", LDS: f"{name}-lds.json"}
        try:
            if not await admin.live():
                return False
            updates = await admin.updates(*wanted)
        except OSError:  # not there yet; a process that ended is noticed by the caller
            return False
        for stat, file in wanted.items():
            if updates[stat].refusals:
                raise EdgeUnavailable(f"Envoy refused {file}: {tail(self.log())}")
            saved = self._folder.saved(file)
            if saved is None or updates[stat].version != saved.version_info:
                return False
        return True

    async def _see_off(self, state: Remembered, term: int) -> None:
        """Bring replaced processes to their end; called again and again, since a drain outlasts a call."""
        gone: list[str] = []
        for name, since in state.leaving.items():
            process, away = self._find(name), time.time() - since
            if process and (away > self._setup.drain_seconds or await self._has_left(name, process, away)):
                await process.end(seconds=_END_SECONDS)
            if not self._find(name):
                gone.append(name)
        if not gone:
            return
        for name in gone:
            del state.leaving[name]
            for file in (f"{name}.json", f"{name}-lds.json", f"{name}.pid"):
                (self._folder / file).unlink(missing_ok=True)
        await self._folder.remember(state, term=term)

    async def _has_left(self, name: str, process: Process, away: float) -> bool:
        if name.startswith("files-"):
            return True  # SIGTERM is its drain
        admin = Admin(self._admin_socket(name))
        _migrate_connections()
        try:
            await admin.drain()
            return away > _LISTEN_WHILE_LEAVING_SECONDS + 1 and not await admin.open_connections()
        except OSError:
            return not process.alive()

    def _config(self, name: str) -> EdgeConfig:
        setup, folder = self._setup, self._folder
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return EdgeConfig(
            admin_socket=self._admin_socket(name),
            cds_file=folder / "cds.json",
            rds_file=folder / "rds.json",
            lds_file=folder / f"{name}-lds.json",
            access_log=setup.access_log,
            listen_host=setup.apps_host,
            listen_port=setup.apps_port,
            # Each takes two descriptors, its own and one to an instance.
            max_connections=20000 if files == resource.RLIM_INFINITY else min(20000, files // 3),
            idle_seconds=setup.idle_seconds,
        )

    def _envoy_command(self, name: str) -> tuple[str, ...]:
        setup = self._setup
        return (
            *as_user(setup.uid, setup.uid, low_port=setup.apps_port < 1024),
            *(str(setup.envoy), "-c", str(self._folder / f"{name}.json")),
            *("--concurrency", str(setup.concurrency), "--disable-hot-restart", "--drain-strategy", "immediate"),
            *("--drain-time-s", str(_LISTEN_WHILE_LEAVING_SECONDS), "--file-flush-interval-msec", "1000"),
            *("--log-level", "warning"),
        )

    def _files_command(self, name: str) -> tuple[str, ...]:
        setup, home = self._setup, self._folder / "files"
        return (
            *as_user(setup.files_uid, setup.uid),
            *("env", f"HOME={home}", f"XDG_CONFIG_HOME={home}", f"XDG_DATA_HOME={home}"),
            *(str(setup.file_server), "run", "--config", str(self._folder / f"{name}.json")),
        )

    def _envoy_fingerprint(self) -> str:
        config = self._config("envoy")
        started_with = [bootstrap(config), listener(config), self._envoy_command("envoy")]
        return _fingerprint(self._setup.envoy, started_with)

    def _files_fingerprint(self) -> str:
        config = files_config(socket=self._files_socket("files"), releases=self._setup.releases)
        return _fingerprint(self._setup.file_server, [config, self._files_command("files")])

    async def _check_port(self) -> None:
        """Envoy shares its port with anyone of its uid, so that somebody else's there would go unnoticed."""
        address = (self._setup.apps_host, self._setup.apps_port)
        deadline = time.monotonic() + _PORT_SECONDS
        while problem := _cannot_listen(address):
            if time.monotonic() > deadline:
                raise EdgeUnavailable(f"cannot listen on {address[0]}:{address[1]}: {problem.strerror}") from problem
            await asyncio.sleep(0.02)

    def _point_files_socket(self, state: Remembered) -> None:
        beside = self._folder / ".files.sock.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(self._files_socket(_name("files", state.files)))
        beside.rename(self._folder / "files.sock")

    def _find(self, name: str) -> Process | None:
        return find(self._folder / f"{name}.pid")

    def _admin_socket(self, name: str) -> Path:
        return self._folder / "run" / f"{name}.sock"

    def _files_socket(self, name: str) -> Path:
        return self._folder / "files" / f"{name}.sock"

    def _own(self, path: Path, uid: int | None, gid: int | None, mode: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
        path.chmod(mode)


def _name(program: str, generation: Generation) -> str:
    return f"{program}-{generation.number}"


def _next(known: Generation, fingerprint: str) -> Generation:
    return known if known.fingerprint == fingerprint else Generation(number=known.number + 1, fingerprint=fingerprint)


def _fingerprint(binary: Path, started_with: object) -> str:
    status = binary.stat()
    what = [str(binary), status.st_size, status.st_mtime_ns, started_with]
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16]


def _cannot_listen(address: tuple[str, int]) -> OSError | None:
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError as problem:
            return problem
    return None


def _migrate_connections() -> None:
    """Let the kernel give connections that a closing listener had not accepted yet to the one beside it, instead of
    resetting them (`tcp_migrate_req`, Linux 5.14). For the whole machine, hence root's to set; without it the few
    visitors of that millisecond have to try again."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/tcp_migrate_req").write_text("1")


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
