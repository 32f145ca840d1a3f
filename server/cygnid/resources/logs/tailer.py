"""The one writer of log lines: reads open streams and stores what they hold together with how far it got.

A writer that another has overtaken finds other positions than those it read from, and stores nothing of those streams.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from cygnid.core import changes, clock
from cygnid.core.changes import Wake
from cygnid.core.db import Pool, Read, begin, read
from cygnid.core.wakeups import Wakeups
from cygnid.resources.logs import batch, files, queries
from cygnid.resources.logs.batch import Limits, Memory, Place, Taken
from cygnid.resources.logs.lines import EXCERPT, Mask, milliseconds
from cygnid.resources.logs.queries import StreamRow
from cygnid.resources.logs.store import NOTES, make_days, store, wake_of
from cygnid.resources.projects import queries as projects

log = logging.getLogger("cygnid.logs")

SecretValues = Callable[[Read, str], Awaitable[Iterable[str]]]
_GATHER_SECONDS = 0.05
"""Between two looks, so that a stream written all the time makes twenty transactions a second and not thousands."""
_SCAN_SECONDS = 2.0
"""How often all files are looked at, should a change have gone unnoticed."""
_REFRESH_SECONDS = 30.0
_LONGEST_READ = 16 * files.CHUNK
_LARGEST_BATCH = 2 * _LONGEST_READ
_PUNCH_BYTES = 1024 * 1024
_PLACES_AHEAD_MS = 24 * 60 * 60 * 1000


class Tailer:
    """`access_log`: the edge's; `secret_values`: what must not be readable in a project's lines."""

    def __init__(
        self,
        pool: Pool,
        wakeups: Wakeups,
        *,
        access_log: Path,
        secret_values: SecretValues,
        limits: Limits | None = None,
    ) -> None:
        self._pool = pool
        self._wakeups = wakeups
        self._access_log = str(access_log.absolute())
        self._secret_values = secret_values
        self._limits = limits or Limits()
        self._rows: dict[str, StreamRow] = {}
        self._memory: dict[int, Memory] = {}
        self._places: dict[str, Place] = {}
        self._again: set[str] = set()
        self._may_have_notes = True
        self._days_until = 0
        self._credit = 0.0

    async def run(self) -> None:
        """Store what is written, until cancelled."""
        await self.begin()
        changed = asyncio.Event()
        with self._wakeups.subscribe([Wake.LOGS]) as woken, files.Watch(changed.set) as watch:
            hearing = asyncio.create_task(_pass_on(woken, changed))
            try:
                scanned = refreshed = time.monotonic() - _REFRESH_SECONDS
                while True:
                    changed.clear()
                    now = time.monotonic()
                    if woken.is_set() or now - refreshed >= _REFRESH_SECONDS:
                        woken.clear()
                        await self.refresh()
                        refreshed, scanned = now, now - _SCAN_SECONDS
                        watch.add({str(Path(path).parent) for path in self._rows})
                    touched = watch.take()
                    if touched is None or now - scanned >= _SCAN_SECONDS:
                        touched, scanned = await asyncio.to_thread(self._scan), now
                        watch.add({str(Path(path).parent) for path in self._rows})
                    wait = await self.look(touched)
                    await asyncio.sleep(_GATHER_SECONDS)
                    try:
                        async with asyncio.timeout(max(min(wait, scanned + _SCAN_SECONDS - time.monotonic()), 0)):
                            await changed.wait()
                    except TimeoutError:
                        pass
            finally:
                hearing.cancel()

    async def begin(self) -> None:
        """Before the first look."""
        async with begin(self._pool) as tx:
            await tx.execute(
                """INSERT INTO log_streams (path, source, opened_at) VALUES ($1, 'request', $2)
                   ON CONFLICT ON CONSTRAINT log_streams_path DO NOTHING""",
                self._access_log,
                clock.now(),
            )
            head = int(await tx.value("SELECT ms FROM log_head"))
        self._credit = max(milliseconds(clock.now()) - head, 0) / 1000 if head else 0.0
        await self.refresh()

    async def refresh(self) -> None:
        """Read which streams there are."""
        async with read(self._pool) as reader:
            rows = await queries.streams(reader)
        # the access log of a folder that this database has moved away from is nobody's here
        self._rows = {row.path: row for row in rows if row.source != "request" or row.path == self._access_log}
        self._memory = {row.number: self._memory.get(row.number) or Memory() for row in self._rows.values()}
        self._may_have_notes = True

    async def look(self, touched: Iterable[str] | None = None) -> float:
        """Store what is new in these files (None: in all), in those that are due, and what the platform had to say.
        Returns the seconds until the next look is due without any news."""
        if milliseconds(clock.now()) + _PLACES_AHEAD_MS > self._days_until:
            async with begin(self._pool) as tx:
                self._days_until = await make_days(tx)
        now = time.monotonic()
        paths = self._rows.keys() if touched is None else ({*touched} | self._due(now)) & self._rows.keys()
        self._again.clear()
        rows = [self._rows[path] for path in sorted(paths)]
        found = await asyncio.to_thread(self._read, [row for row in rows if self._memory[row.number].not_before <= now])
        await self._store(await self._take([(row, file) for row, file in found if file is not None]))
        for row, file in found:
            if file is None and row.closed_at:
                await self._finish(row)
        return min((max(at - time.monotonic(), 0) for at in self._deadlines()), default=float("inf"))

    def _due(self, now: float) -> set[str]:
        return self._again | {path for path, row in self._rows.items() if self._deadline(row) <= now}

    def _deadlines(self) -> list[float]:
        return [0.0] if self._again else [self._deadline(row) for row in self._rows.values()]

    def _deadline(self, row: StreamRow) -> float:
        """When this stream is looked at though nothing was heard of it."""
        memory = self._memory[row.number]
        if memory.not_before:
            return memory.not_before
        return float("inf") if memory.partial is None else memory.partial[1] + batch.FLUSH_SECONDS

    def _scan(self) -> set[str]:
        """The streams whose file is not as at the last look, and those that are closed."""
        return {
            path
            for path, row in self._rows.items()
            if row.closed_at or ((seen := files.look(Path(path))) and seen != self._memory[row.number].seen)
        }

    def _read(self, rows: Iterable[StreamRow]) -> list[tuple[StreamRow, files.Found | None]]:
        found: list[tuple[StreamRow, files.Found | None]] = []
        left = _LARGEST_BATCH
        for row in rows:
            if left <= 0:
                self._again.add(row.path)
                continue
            try:
                file = files.read(
                    Path(row.path),
                    inode=row.inode,
                    position=row.position,
                    limit=_LONGEST_READ,
                    ceiling=self._limits.unread_bytes,
                )
            except OSError as error:
                log.warning("cannot read %s: %r", row.path, error)
                self._memory[row.number].seen = files.look(Path(row.path))
                continue
            found.append((row, file))
            left -= len(file.data) if file else 0
        return found

    async def _take(self, found: list[tuple[StreamRow, files.Found]]) -> list[Taken]:
        if not found:
            return []
        async with read(self._pool) as reader:
            owners = {row.project_id for row, _ in found if row.project_id is not None}
            for row, file in found:
                if row.project_id is None:
                    owners |= await self._owners(reader, file.data)
            # asked after the bytes were read: a value among them was stored before its process began
            masks = {owner: Mask(await self._secret_values(reader, owner)) for owner in owners}
        return await asyncio.to_thread(self._split, found, masks)

    async def _owners(self, reader: Read, data: bytes) -> set[str]:
        """The projects that lines of the access log are about."""
        routes = batch.routes(data)
        for route in routes - self._places.keys():
            if environment := await projects.environment_by_id(reader, route):
                self._places[route] = Place(project_id=environment.project_id, environment=environment.name)
        return {self._places[route].project_id for route in routes & self._places.keys()}

    def _split(self, found: list[tuple[StreamRow, files.Found]], masks: Mapping[str, Mask]) -> list[Taken]:
        return [
            batch.take(
                row, file, self._memory[row.number], self._limits, masks=masks, places=self._places, credit=self._credit
            )
            for row, file in found
        ]

    async def _store(self, taken: list[Taken]) -> None:
        new = [item for item in taken if item.is_new]
        moved = set[int]()
        if new or self._may_have_notes:
            async with begin(self._pool) as tx:
                moved, notes = await store(tx, new)
            self._may_have_notes = notes == NOTES
        for item in taken:
            row, memory = item.row, self._memory[item.row.number]
            if item.is_new and row.number not in moved:
                await self.refresh()  # another writer has been here, or the stream is gone
                self._again.add(row.path)
                continue
            self._rows[row.path] = current = item.stored()
            memory.seen = item.seen if item.at_end else None
            if not item.at_end:
                self._again.add(row.path)
            elif row.closed_at:
                await self._finish(current)
                continue
            # also of what is written faster than it is read: its end may never be reached
            if current.position - EXCERPT - memory.punched >= _PUNCH_BYTES:
                memory.punched = current.position - EXCERPT
                await asyncio.to_thread(files.punch, Path(row.path), inode=item.inode, end=memory.punched)

    async def _finish(self, row: StreamRow) -> None:
        """Forget a closed stream that is read to its end, and delete its file, unless it was opened or written again.
        The row is locked meanwhile: who opens it again creates the file after it is gone."""
        path = Path(row.path)
        async with begin(self._pool) as tx:
            position = await tx.value(
                "SELECT position FROM log_streams WHERE number = $1 AND closed_at IS NOT NULL FOR UPDATE", row.number
            )
            there = files.look(path)
            if position is None or (there and there[1] and there != (row.inode, position)):
                self._again.add(row.path)
            else:
                path.unlink(missing_ok=True)
                await tx.execute("DELETE FROM log_streams WHERE number = $1", row.number)
                await changes.wake(tx, Wake.LINES)
                if row.project_id:
                    await changes.wake(tx, wake_of(row.project_id))
                self._rows.pop(row.path, None)


async def _pass_on(woken: asyncio.Event, changed: asyncio.Event) -> None:
    """Whichever event comes ends the wait."""
    while True:
        await woken.wait()
        changed.set()
        await asyncio.sleep(_GATHER_SECONDS)
