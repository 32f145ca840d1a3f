"""The edge: Envoy, told by files that are renamed into place, with the shared file server behind it.

No server of ours tells it anything, so it serves on when the control plane is down, and serves what it served when it
is started again without it.
"""

import asyncio
from collections.abc import Sequence

from cygnid.edge.admin import CDS, RDS, Admin
from cygnid.edge.base import EdgeAnswer, EdgeStatus, EdgeUnavailable, HttpProtocol, Route
from cygnid.edge.envoy_config import InvalidRoutes, Json, clusters, route_table, validated
from cygnid.edge.folder import Folder, document
from cygnid.edge.process import Process
from cygnid.edge.program_logs import tail
from cygnid.edge.programs import EdgeSetup, Programs

_CONFIRM_SECONDS = 60
_PROBE_SECONDS = 10
_PROBE_BYTES = 65536
_NO_ANSWER = 502
_GRPC = "content-type: application/grpc\r\nte: trailers\r\ncontent-length: 0\r\n"
_FILES = {CDS: "cds.json", RDS: "rds.json"}


class EnvoyEdge:
    """Implements Edge. One at a time leads (the highest term); any may read `status` and `probe`."""

    def __init__(self, setup: EdgeSetup) -> None:
        longest = len(str(setup.folder / "files" / "files-999999.sock"))
        if longest > 107:
            raise ValueError(f"{setup.folder} is too long a path for the unix sockets in it, by {longest - 107}")
        self._setup = setup
        self._folder = Folder(setup.folder, uid=setup.uid)
        self._programs = Programs(setup, self._folder)
        self._busy = asyncio.Lock()

    async def apply(self, routes: Sequence[Route], *, version: int, term: int) -> None:
        try:
            validated(routes, releases=self._setup.releases)
        except InvalidRoutes as problem:
            raise EdgeUnavailable(f"refused before it was written: {problem}") from problem
        new = clusters(routes, files_socket=self._folder / "files.sock")
        table = route_table(routes, releases=self._setup.releases)
        async with self._busy:
            await self._prepare(term)
            state = self._folder.remembered()
            envoys = self._programs.envoys(state)
            # A route to a cluster that is not there is an outage: clusters come before their routes, and go after.
            going = self._going(new)
            await self._publish(CDS, [*new.values(), *going], envoys, term)
            await self._publish(RDS, [table], envoys, term)
            if going:
                await self._publish(CDS, [*new.values()], envoys, term)
            if not envoys:
                raise EdgeUnavailable("Envoy does not run; the routes are saved for its start")
            if state.version != version:
                state.version = version
                await self._folder.remember(state, term=term)

    async def supervise(self, *, term: int) -> None:
        async with self._busy:
            await self._prepare(term)
            await self._programs.trim_logs(term=term)
            await self._programs.converge(term=term)

    async def probe(self, host: str, path: str, *, protocol: HttpProtocol = "http1") -> EdgeAnswer:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                status, _ = await self._ask(host, f"GET {path}")
                if status == _NO_ANSWER and protocol == "h2c":
                    called, fields = await self._ask(host, f"POST {path}", _GRPC)
                    # Envoy dresses its own errors as gRPC's too, as UNAVAILABLE
                    grpc = fields.get("content-type", "").startswith("application/grpc")
                    status = called if grpc and fields.get("grpc-status") != "14" else status
                return EdgeAnswer(status=status, error=None)
        except TimeoutError:
            return EdgeAnswer(status=None, error=f"no answer within {_PROBE_SECONDS} s")
        except (OSError, asyncio.IncompleteReadError, ValueError) as problem:
            return EdgeAnswer(status=None, error=f"no answer from the edge: {problem}")

    async def status(self) -> EdgeStatus:
        """`pids`: Envoy, the file server, then replaced processes that are finishing."""
        state = self._folder.remembered()
        envoy, files = self._programs.current(state)
        processes = [envoy, files, *self._programs.leaving(state)]
        return EdgeStatus(
            running=envoy is not None and files is not None,
            pids=tuple(process.pid for process in processes if process),
            version=state.version,
        )

    async def stop(self) -> None:
        async with self._busy:
            await self._programs.stop()

    async def _prepare(self, term: int) -> None:
        self._programs.prepare()
        async with self._folder.fenced(term):
            pass
        empty = {
            "cds.json": [*clusters([], files_socket=self._folder / "files.sock").values()],
            "rds.json": [route_table([], releases=self._setup.releases)],
        }
        for name, resources in empty.items():
            if self._folder.saved(name) is None:
                await self._folder.publish(name, document(resources)[1], term=term)

    def _going(self, new: dict[str, Json]) -> list[Json]:
        saved = self._folder.saved("cds.json")
        return [cluster for cluster in saved.resources if cluster["name"] not in new] if saved else []

    async def _publish(
        self, stat: str, resources: Sequence[Json], envoys: Sequence[tuple[Process, Admin]], term: int
    ) -> None:
        """Write the file unless it says that already; return when every Envoy shows it. Refused: the old file is put
        back, since Envoy would not start with this one, and the reason is raised."""
        version, body = document(resources)
        path = self._folder / _FILES[stat]
        previous = path.read_bytes()
        log = self._programs.log()
        log_end = log.stat().st_size if log.exists() else 0
        try:
            before = [(await admin.updates(stat))[stat].refusals for _, admin in envoys]
            if previous != body:
                await self._folder.publish(path.name, body, term=term)
            for (_, admin), refusals in zip(envoys, before, strict=True):
                if not await self._shown(admin, stat, version, refusals):
                    await self._folder.publish(path.name, previous, term=term)
                    raise EdgeUnavailable(f"Envoy refused {path.name}: {tail(log, log_end)}")
        except OSError as problem:
            raise EdgeUnavailable(f"Envoy ended while {path.name} was written: {problem}") from problem

    async def _shown(self, admin: Admin, stat: str, version: str, refusals: int) -> bool:
        """True when Envoy shows this version, False when it refused it. There is nothing to wait on but asking."""
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                while True:
                    update = (await admin.updates(stat))[stat]
                    if update.version == version:
                        return True
                    if update.refusals > refusals:
                        return False
                    await asyncio.sleep(0.001)
        except TimeoutError as late:
            raise EdgeUnavailable(f"Envoy did not confirm {_FILES[stat]} within {_CONFIRM_SECONDS} s") from late

    async def _ask(self, host: str, what: str, more: str = "") -> tuple[int, dict[str, str]]:
        """(status, headers by their names in lower case)."""
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._setup.apps_host, self._setup.apps_host)
        reader, writer = await asyncio.open_connection(address, self._setup.apps_port)
        try:
            head = f"{what} HTTP/1.1\r\nhost: {host}\r\nuser-agent: cygni-probe\r\n{more}connection: close\r\n\r\n"
            writer.write(head.encode("ascii"))
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            # Read what is small to its end: leaving early would look to the app like a visitor who gave up.
            await reader.read(_PROBE_BYTES)
            pairs = (line.partition(":") for line in lines)
            return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}
        finally:
            writer.close()
