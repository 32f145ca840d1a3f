"""The embedded PostgreSQL: made, started, supervised and stopped by us.

It is reached by a Unix socket in a folder that is closed to other users, with a password besides, and never by TCP.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import asyncpg

from cygnid.core.postgres.binaries import Binaries, copy_for_others, find
from cygnid.core.postgres.child import Child, View, exited, spawn

_USER = "cygni"
_LONGEST_SOCKET = 107
_LOG_CEILING = 16 * 1024 * 1024

# Idle memory is what a small machine pays for the platform: few buffers, no parallel workers, no compiler.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "maintenance_work_mem": "32MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_worker_processes": "4",
    "autovacuum_max_workers": "2",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_SETTINGS_SINCE_18 = {"io_method": "sync"}


class PostgresFailed(Exception):
    """The server or its set-up ended with an error; the message holds what it said."""


class EmbeddedPostgres:
    """One server per data folder.

    `data` is the platform's folder; everything is kept in `data/postgres`. With `uid` (root only) the server runs as
    that user, from copies of the programs in `data/toolchains`; the user needs no entry in the machine's passwd.
    `settings` overrides server settings (tests run without fsync).
    """

    def __init__(
        self,
        data: Path,
        *,
        uid: int | None = None,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data.resolve()
        self._folder = self._data / "postgres"
        self._uid = uid
        self._explicit = binaries
        self._settings = dict(settings or {})
        self._cluster = self._folder / "data"
        self._password = self._folder / "password"
        self._log = self._folder / "log"
        self._socket = _socket_folder(self._folder, uid)
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """For asyncpg and libpq; holds no secret: the password is in a file that only the server's uid can read."""
        return self._url("cygni")

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    async def start(self) -> str:
        """Make the cluster if there is none, start it, wait until it answers, however long a recovery takes.

        Returns the URL of database `cygni`. Raises PostgresNotFound, PostgresFailed.
        """
        if self.alive:
            return self.url
        self._make_folders()
        # initdb runs when there is no whole cluster: it is made aside and renamed
        version = self._cluster / "PG_VERSION"
        major = int(version.read_text().strip()) if version.exists() else None
        binaries = await asyncio.to_thread(self._programs, major)
        if major is None:
            await self._initialize(binaries)
        await self._end_previous()
        if self._log.exists() and self._log.stat().st_size > _LOG_CEILING:
            self._log.rename(self._log.with_name("log.1"))
        self._child = self._run(
            [binaries.bin / "postgres", "-D", self._cluster, "-k", self._socket, *self._options(binaries)]
        )
        await self._answers()
        return self.url

    def adopt(self, pid: int) -> None:
        """Take over the running server that this same process started before it replaced itself by exec."""
        self._child = Child(pid)

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        assert self._child is not None, "start() comes first"
        return await self._child.wait()

    async def stop(self, *, grace_seconds: float = 60) -> None:
        """Disconnect everybody, write everything to disk, end. Idempotent."""
        if self._child:
            await self._child.stop(signal.SIGINT, grace_seconds=grace_seconds)
        if self._socket.parent != self._folder and self._socket.exists():
            shutil.rmtree(self._socket)

    def log_tail(self, lines: int = 10) -> str:
        """The last lines the server said."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _url(self, database: str) -> str:
        query = urlencode({"host": str(self._socket), "port": "5432", "passfile": str(self._password)})
        return f"postgresql://{_USER}@/{database}?{query}"

    def _programs(self, major: int | None) -> Binaries:
        binaries = find(major=major, explicit=self._explicit)
        if self._uid is None:
            return binaries
        toolchains = self._data / "toolchains"
        toolchains.mkdir(exist_ok=True)
        return copy_for_others(binaries, toolchains)

    def _make_folders(self) -> None:
        for folder in (self._folder, self._socket):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._give(folder)
            found = folder.stat()
            # the short socket folder lies where anybody may make one first
            if found.st_uid != (os.geteuid() if self._uid is None else self._uid) or found.st_mode & 0o077:
                raise PostgresFailed(f"{folder} belongs to somebody else or is open to others: remove it.")
        if not self._password.exists():
            part = self._password.with_suffix(".part")
            part.unlink(missing_ok=True)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(f"*:*:*:{_USER}:{secrets.token_hex(32)}\n")
            self._give(part)
            part.rename(self._password)

    def _give(self, path: Path) -> None:
        if self._uid is not None and path.stat(follow_symlinks=False).st_uid == os.geteuid():
            os.chown(path, self._uid, self._uid, follow_symlinks=False)

    async def _initialize(self, binaries: Binaries) -> None:
        part = self._folder / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if binaries.major >= 17
            else ["--locale=C.UTF-8", "--lc-messages=C"]
        )
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            self._give(Path(folder))
            password = Path(folder) / "password"
            password.write_text(self._password.read_text().rsplit(":", 1)[1])
            self._give(password)
            child = self._run(
                [
                    *(binaries.bin / "initdb", "-D", part, "-U", _USER, f"--pwfile={password}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", *locale, *sync),
                ],
                view=self._named(Path(folder)),
            )
            code = await child.wait()
        if code != 0:
            raise PostgresFailed(f"initdb failed ({code}):\n{self.log_tail()}")
        part.rename(self._cluster)

    def _named(self, folder: Path) -> View | None:
        """A passwd for initdb, which insists on a name for its uid; the machine's has none."""
        if self._uid is None:
            return None
        passwd = folder / "passwd"
        passwd.write_text(f"root:x:0:0::/:/bin/sh\n{_USER}:x:{self._uid}:{self._uid}::/:/bin/sh\n")
        passwd.chmod(0o644)
        return View(replaced={"/etc/passwd": passwd})

    def _options(self, binaries: Binaries) -> list[str]:
        settings = _SETTINGS | (_SETTINGS_SINCE_18 if binaries.major >= 18 else {}) | self._settings
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _run(self, argv: list[str | Path], view: View | None = None) -> Child:
        with self._log.open("ab") as log:
            self._log.chmod(0o600)
            self._give(self._log)
            # fast shutdown when we die: SIGINT, not SIGTERM, which would wait for the clients
            return spawn(
                argv,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                death_signal=signal.SIGINT,
                uid=self._uid,
                view=view,
                cwd=self._folder,
                stdout=log,
            )

    async def _end_previous(self) -> None:
        """Leave nothing of a server before: PostgreSQL itself refuses to start when the pid in its lock file is an
        unreaped zombie, or now belongs to another program."""
        lock = self._cluster / "postmaster.pid"
        if lock.exists():
            pid = int(lock.read_text().split("\n", 1)[0])
            if _runs_in(pid, self._cluster):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
                await exited(pid)
            lock.unlink(missing_ok=True)
        for path in self._socket.iterdir():
            path.unlink()

    async def _answers(self) -> None:
        while True:
            if not self.alive:
                raise PostgresFailed(f"PostgreSQL ended while starting:\n{self.log_tail()}")
            try:
                connection = await asyncpg.connect(self._url("postgres"))
            except (OSError, asyncpg.CannotConnectNowError):
                # no socket yet, or "the database system is starting up": there is no event for its end
                await asyncio.sleep(0.02)
                continue
            try:
                if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'cygni'"):
                    await connection.execute("CREATE DATABASE cygni")
            finally:
                await connection.close()
            return


def _socket_folder(folder: Path, uid: int | None) -> Path:
    socket = folder / "socket"
    if len(os.fsencode(socket / ".s.PGSQL.5432")) <= _LONGEST_SOCKET and "," not in str(socket):
        return socket
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    runtime = "/run" if uid is not None else os.environ.get("XDG_RUNTIME_DIR", tempfile.gettempdir())
    return Path(runtime) / f"cygni-{short}"


def _runs_in(pid: int, cluster: Path) -> bool:
    """Whether this pid is a living PostgreSQL on that cluster: it makes it its working folder."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        return Path(f"/proc/{pid}/cwd").readlink() == cluster
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
