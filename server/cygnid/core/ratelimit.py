"""The rate limit: how many requests a bucket may send in a minute and in an hour.

Counted in memory and exact: nothing is awaited inside a hit. Windows are fixed and begin on the full minute and hour.
A request is counted in both windows or, when refused, in none: a client that keeps knocking does not lose its hour.
Headers follow draft-ietf-httpapi-ratelimit-headers-11; the X- names are those that clients know from elsewhere.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

from cygnid.core import clock
from cygnid.core.errors import Unavailable
from cygnid.core.plans import Plan

WINDOWS = {"perMinute": 60, "perHour": 3600}
ABUSE_PER_MINUTE = 60_000
"""What an unlimited plan may send before it would harm others; no promise to anybody, so it is in no header."""
MOST_BUCKETS = 100_000


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a bucket."""

    name: str
    seconds: int
    limit: int
    used: int
    reset_at: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a hit. `window` and the numbers are of the window with the lowest remaining share; all of them
    are None, and `windows` and `headers` empty, for an unlimited plan."""

    allowed: bool
    window: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    retry_after: int | None = None
    """Seconds until a refused request may pass; None when allowed."""
    windows: tuple[Window, ...] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class _Count:
    """Hits of one bucket, by window; `starts` says which window each count is of."""

    starts: dict[str, int]
    hits: dict[str, int]


class Limiter:
    """`buckets`: how many are remembered; beyond that the one unused for longest is forgotten."""

    def __init__(self, *, buckets: int = MOST_BUCKETS, abuse_per_minute: int = ABUSE_PER_MINUTE) -> None:
        self._most = buckets
        self._abuse = abuse_per_minute
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def hit(self, bucket: str, plan: Plan) -> Verdict:
        """Count one request, if it is allowed. Raises Unavailable past the ceiling of an unlimited plan."""
        now = clock.now().timestamp()
        count = self._current(bucket, now)
        if plan.per_minute is None and plan.per_hour is None:
            if count.hits["perMinute"] >= self._abuse:
                wait = _seconds_left(count, "perMinute", now)
                raise Unavailable("Too many requests at once.", headers={"Retry-After": str(wait)})
            _add(count, 1)
            return Verdict(allowed=True)
        allowed = all(window.remaining for window in _windows(count, plan))
        if allowed:
            _add(count, 1)
        return _verdict(_windows(count, plan), now, allowed=allowed)

    def peek(self, bucket: str, plan: Plan) -> Verdict:
        """How the bucket stands, nothing counted: `allowed` says whether a hit would pass."""
        if plan.per_minute is None and plan.per_hour is None:
            return Verdict(allowed=True)
        now = clock.now().timestamp()
        count = self._counts.get(bucket)
        windows = _windows(_rolled(count, now), plan)
        return _verdict(windows, now, allowed=all(window.remaining for window in windows))

    def refund(self, bucket: str) -> None:
        """Take back the last hit: its answer was a 304."""
        if count := self._counts.get(bucket):
            _add(count, -1)

    def _current(self, bucket: str, now: float) -> _Count:
        count = self._counts[bucket] = _rolled(self._counts.get(bucket), now)
        self._counts.move_to_end(bucket)
        while len(self._counts) > self._most or _is_over(next(iter(self._counts.values())), now):
            self._counts.popitem(last=False)
        return count


def _rolled(count: _Count | None, now: float) -> _Count:
    """The count as of now: windows that are over start again at 0."""
    starts = {name: int(now // seconds) * seconds for name, seconds in WINDOWS.items()}
    if count is None:
        return _Count(starts, dict.fromkeys(WINDOWS, 0))
    return _Count(
        starts, {name: hits if count.starts[name] == starts[name] else 0 for name, hits in count.hits.items()}
    )


def _is_over(count: _Count, now: float) -> bool:
    return now >= count.starts["perHour"] + WINDOWS["perHour"]


def _add(count: _Count, number: int) -> None:
    for name in WINDOWS:
        count.hits[name] = max(0, count.hits[name] + number)


def _seconds_left(count: _Count, name: str, now: float) -> int:
    return max(1, ceil(count.starts[name] + WINDOWS[name] - now))


def _windows(count: _Count, plan: Plan) -> tuple[Window, ...]:
    limits = {"perMinute": plan.per_minute, "perHour": plan.per_hour}
    return tuple(
        Window(
            name=name,
            seconds=seconds,
            limit=limit,
            used=count.hits[name],
            reset_at=datetime.fromtimestamp(count.starts[name] + seconds, UTC),
        )
        for name, seconds in WINDOWS.items()
        if (limit := limits[name]) is not None
    )


def _verdict(windows: tuple[Window, ...], now: float, *, allowed: bool) -> Verdict:
    # of two that are used up, the one that is so for longer: a client that waits for it may really go on
    lowest = min(windows, key=lambda window: (window.remaining / window.limit, -window.reset_at.timestamp()))
    left = max(1, ceil(lowest.reset_at.timestamp() - now))
    return Verdict(
        allowed=allowed,
        window=lowest.name,
        limit=lowest.limit,
        remaining=lowest.remaining,
        reset_at=lowest.reset_at,
        retry_after=None if allowed else left,
        windows=windows,
        headers={
            "X-RateLimit-Limit": str(lowest.limit),
            "X-RateLimit-Remaining": str(lowest.remaining),
            "X-RateLimit-Reset": str(int(lowest.reset_at.timestamp())),
            "X-RateLimit-Used": str(lowest.used),
            "X-RateLimit-Resource": "api",
            "RateLimit-Policy": ", ".join(f'"{w.name}";q={w.limit};w={w.seconds}' for w in windows),
            "RateLimit": f'"{lowest.name}";r={lowest.remaining};t={left}',
        },
    )
