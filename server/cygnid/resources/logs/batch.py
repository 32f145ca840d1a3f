"""From what was read of a file to the lines that are stored of it. Nothing here touches the database or the disk."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from cygnid.resources.logs import lines
from cygnid.resources.logs.files import CHUNK, Found
from cygnid.resources.logs.lines import NO_MASK, Mask
from cygnid.resources.logs.queries import StreamRow
from cygnid.resources.logs.schemas import Level, RequestLog, Source, Stream

FLUSH_SECONDS = 3.0
"""How long an unfinished line waits for its end."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one stream may have stored; a line counts as one, and as one more for each KiB."""

    per_second: float = 1000
    burst: float = 5000
    unread_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line without its id."""

    at_ms: int | None
    """When it happened, if the line says so."""
    project_id: str
    environment: str | None
    source: Source
    level: Level
    stream: Stream | None
    message: str
    truncated: bool
    deployment_id: str | None = None
    step: str | None = None
    process: str | None = None
    instance_id: str | None = None
    request_id: str | None = None
    request: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    project_id: str
    environment: str | None


@dataclass(kw_only=True)
class Bucket:
    tokens: float
    at: float = field(default_factory=time.monotonic)

    def left(self, limits: Limits, now: float) -> float:
        self.tokens = max(self.tokens, min(limits.burst, self.tokens + (now - self.at) * limits.per_second))
        self.at = now
        return self.tokens

    def take(self, cost: float, limits: Limits, now: float) -> bool:
        if self.left(limits, now) < cost:
            return False
        self.tokens -= cost
        return True


@dataclass(kw_only=True)
class Memory:
    """What the tailer remembers of a stream between two looks; lost without harm."""

    buckets: dict[Place, Bucket] = field(default_factory=dict[Place, Bucket])
    partial: tuple[int, float] | None = None
    """Where an unfinished line begins, and since when it has been seen."""
    punched: int = 0
    seen: tuple[int, int] | None = None
    """(inode, size) at the last look."""
    not_before: float = 0
    """Too much is written: the next look waits, so that one note tells of many lines."""


@dataclass(kw_only=True)
class Taken:
    """What one look at a file found, and where the next one begins."""

    row: StreamRow
    inode: int
    position: int
    skipping: bool
    lines: list[Line]
    seen: tuple[int, int]
    """(inode, size) of the file."""
    at_end: bool
    """Nothing more was there to read."""
    notes: list[Line] = field(default_factory=list[Line])

    @property
    def is_new(self) -> bool:
        old = self.row
        return (self.inode, self.position, self.skipping) != (old.inode, old.position, old.skipping)

    def stored(self) -> StreamRow:
        """The stream once this is stored."""
        return msgspec.structs.replace(
            self.row,
            inode=self.inode,
            position=self.position,
            skipping=self.skipping,
            seq=self.row.seq + len(self.lines) + len(self.notes),
        )


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the edge's access log."""

    t: datetime | None = None
    id: str | None = None
    route: str | None = None
    ip: str | None = None
    ua: str | None = None
    host: str | None = None
    m: str | None = None
    path: str | None = None
    s: int | None = None
    ms: int | None = None
    out: int | None = None


_REQUESTS = msgspec.json.Decoder(_Request, strict=False)


def routes(data: bytes) -> set[str]:
    """The environments that lines of the access log name."""
    found: set[str] = set()
    for raw in data.split(b"\n"):
        request = _request(raw)
        if request and request.route:
            found.add(request.route)
    return found


def take(
    row: StreamRow,
    found: Found,
    memory: Memory,
    limits: Limits,
    *,
    masks: Mapping[str, Mask],
    places: Mapping[str, Place],
    credit: float = 0,
) -> Taken:
    """Split what was found into lines. `masks`: by project; `places`: of the routes in an access log; `credit`:
    seconds in which nobody looked, so that what gathered meanwhile is not taken for a flood."""
    data, start, now = found.data, found.start, time.monotonic()
    fresh = found.inode != row.inode or found.start - found.lost < row.position
    skipping = bool(found.lost) or (row.skipping and not fresh)
    begin = 0
    if skipping:
        newline = data.find(b"\n")
        begin = len(data) if newline < 0 else newline + 1
        skipping = newline < 0
    end = data.rfind(b"\n") + 1
    complete = data[begin:end].split(b"\n")[:-1] if end > begin else []
    rest = data[max(begin, end) :]
    is_last = start + len(data) >= found.size
    mask = masks.get(row.project_id or "", NO_MASK)
    position = start + max(begin, end)
    if rest and len(rest) >= CHUNK:
        complete.append(rest)
        position, skipping = start + len(data), True
    elif rest and is_last:
        flushed = len(rest) if row.closed_at else _flushed(rest, position, memory, mask, now)
        if flushed:
            complete.append(rest[:flushed])
            position += flushed
    if position != (memory.partial or (None,))[0]:
        memory.partial = None
    memory.not_before = 0
    taken = Taken(
        row=row,
        inode=found.inode,
        position=position,
        skipping=skipping,
        lines=[],
        seen=(found.inode, found.size),
        at_end=is_last or not data,
    )
    dropped: Counter[Place] = Counter()
    own = None if row.project_id is None else Place(project_id=row.project_id, environment=row.environment)
    for index, raw in enumerate(complete):
        if own is not None and own in memory.buckets and memory.buckets[own].left(limits, now) < 1:
            # not looked at, since millions of empty lines fit into one look, and all streams wait for it
            dropped[own] += len(complete) - index
            break
        line = _request_line(raw, masks, places) if row.project_id is None else _line(raw, row, mask)
        if line is None:
            continue
        place = Place(project_id=line.project_id, environment=line.environment)
        bucket = memory.buckets.get(place)
        if bucket is None:
            bucket = memory.buckets[place] = Bucket(tokens=limits.burst + credit * limits.per_second)
        if bucket.take(1 + len(line.message) // 1024, limits, now):
            taken.lines.append(line)
        else:
            dropped[place] += 1
    for place, count in dropped.items():
        taken.notes.append(
            _note(row, place, f"{count} lines were dropped: more than {limits.per_second:.0f} a second were written.")
        )
        if row.project_id:
            memory.not_before = now + 1
    if found.lost and row.project_id:
        place = Place(project_id=row.project_id, environment=row.environment)
        taken.notes.append(_note(row, place, f"{found.lost} bytes were dropped unread: too much was written at once."))
    return taken


def _flushed(rest: bytes, position: int, memory: Memory, mask: Mask, now: float) -> int:
    """How much of an unfinished line is stored now: nothing before it has waited; never half a secret or character."""
    if memory.partial is None or memory.partial[0] != position:
        memory.partial = (position, now)
        return 0
    if now - memory.partial[1] < FLUSH_SECONDS:
        return 0
    memory.partial = (position, now)
    kept = len(rest) - mask.held_back(rest)
    for back in range(1, min(4, kept + 1)):
        byte = rest[kept - back]
        if byte >= 0xC0:
            return kept - back if back < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2) else kept
        if byte < 0x80:
            break
    return kept


def _line(raw: bytes, row: StreamRow, mask: Mask) -> Line:
    text, truncated = lines.message(raw, mask)
    assert row.project_id is not None
    return Line(
        at_ms=None,
        project_id=row.project_id,
        environment=row.environment,
        source=row.source,
        level=lines.level(text, row.stream),
        stream=row.stream,
        message=text,
        truncated=truncated,
        deployment_id=row.deployment_id,
        step=row.step,
        process=row.process,
        instance_id=row.instance_id,
    )


def _request(raw: bytes) -> _Request | None:
    try:
        return _REQUESTS.decode(raw.decode(errors="replace"))
    except msgspec.MsgspecError:
        return None  # a line that the edge could not finish when its disk was full


def _request_line(raw: bytes, masks: Mapping[str, Mask], places: Mapping[str, Place]) -> Line | None:
    """None: a broken line, or one of no environment (an unknown host)."""
    asked = _request(raw)
    place = places.get(asked.route or "") if asked else None
    if asked is None or place is None:
        return None
    mask = masks.get(place.project_id, NO_MASK)

    def text(value: str | None) -> str:
        return lines.message((value or "").encode(errors="replace"), mask)[0]

    log = RequestLog(
        method=text(asked.m),
        host=text(asked.host),
        path=text((asked.path or "").partition("?")[0]),
        status=asked.s or 0,
        duration_ms=asked.ms or 0,
        response_bytes=asked.out or 0,
        remote_ip=text(asked.ip),
        user_agent=None if asked.ua is None else text(asked.ua),
    )
    return Line(
        at_ms=None if asked.t is None else lines.milliseconds(asked.t) + log.duration_ms,
        project_id=place.project_id,
        environment=place.environment,
        source="request",
        level="error" if log.status >= 500 else "info",
        stream=None,
        message=f"{log.method} {log.path} {log.status} {log.duration_ms} ms",
        truncated=False,
        request_id=None if asked.id is None else text(asked.id),
        request=msgspec.json.encode(log).decode(),
    )


def _note(row: StreamRow, place: Place, message: str) -> Line:
    return Line(
        at_ms=None,
        project_id=place.project_id,
        environment=place.environment,
        source="system",
        level="warn",
        stream=None,
        message=message,
        truncated=False,
        deployment_id=row.deployment_id,
        process=row.process,
        instance_id=row.instance_id,
    )
