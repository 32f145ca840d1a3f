"""Refused changes in the audit log: written after the answer, apart from the transaction that was refused."""

import asyncio
import itertools
import logging
import re
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Never

import msgspec

from cygnid.core import changes, clock, quotas
from cygnid.core.actors import Actor
from cygnid.core.changes import Subject
from cygnid.core.db import AWAY, Pool, Tx, begin
from cygnid.core.errors import Forbidden, QuotaExceeded

if TYPE_CHECKING:
    from cygnid.core.http import Call, Operation

EVENT = "access.denied"
PER_MINUTE = 60
"""Rows of one actor: who knocks all day does not fill the log, and the first rows say all."""
_MOST_WAITING = 10_000
_MOST_TEXT = 200
_TYPES = {"env": "envVariable", "processes": "process"}
_ID = re.compile(r"[a-z]+_[0-9a-hjkmnp-tv-z]{26}")

log = logging.getLogger("cygnid.refusals")


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    actor: Actor
    subject: Subject
    asked: dict[str, Any]
    request_id: str


class _Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A quota that somebody would have gone beyond."""

    actor: Actor
    error: QuotaExceeded
    request_id: str


class Refusals:
    """Those of one process. No request waits for them, and one that cannot be written changes no answer."""

    def __init__(self) -> None:
        self._waiting: deque[_Refusal | _Reached] = deque()
        self._more = asyncio.Event()
        self._minute = 0
        self._noted = Counter[str | None]()

    def note(self, item: "Operation", call: "Call", refused: Forbidden, team_id: str | None) -> None:
        """That this call was refused. `team_id`: whose log it belongs in, where the refusal does not say it; None: the
        caller's own, and for who acts in several teams the installation's. Reads and callers that nobody knows make no
        row, a quota one in each of its periods."""
        if item.method != "GET" and not item.needs.endswith(":read"):
            self.add(call.actor, item.id, _subject(item, call, refused, team_id), refused, call.request_id)

    def add(self, actor: Actor, operation: str, subject: Subject, refused: Forbidden, request_id: str) -> None:
        """The same where there is no row of the table of operations: `operation` says in a word what was asked for."""
        if actor.type == "anonymous" or not self._may_note(actor):
            return
        # a limit of one person's is no quota of a team's
        if isinstance(refused, QuotaExceeded) and refused.team_id is not None:
            self._waiting.append(_Reached(actor=actor, error=refused, request_id=request_id))
        else:
            asked = {"operation": operation, "code": refused.code}
            if scopes := refused.details.get("requiredScopes"):
                asked["requiredScopes"] = scopes
            self._waiting.append(_Refusal(actor=actor, subject=subject, asked=asked, request_id=request_id))
        self._more.set()

    async def write(self, pool: Pool) -> None:
        """All that were noted. Lost while the database is away; the log of the process says how many."""
        while self._waiting:
            some = list(self._waiting)
            try:
                async with begin(pool) as tx:
                    for one in some:
                        await _store(tx, one)
            except AWAY as error:
                log.warning("%d refusals are not written: %r", len(some), error)
            for _ in some:
                self._waiting.popleft()

    async def keep_writing(self, pool: Pool) -> Never:
        while True:
            await self._more.wait()
            self._more.clear()
            await self.write(pool)

    def _may_note(self, actor: Actor) -> bool:
        minute = int(clock.now().timestamp()) // 60
        if minute != self._minute:
            self._minute, self._noted = minute, Counter()
        self._noted[actor.id] += 1
        return self._noted[actor.id] <= PER_MINUTE and len(self._waiting) < _MOST_WAITING


async def _store(tx: Tx, one: _Refusal | _Reached) -> None:
    if isinstance(one, _Reached):
        await quotas.tell(tx, one.actor, one.error, request_id=one.request_id)
        return
    await changes.record(
        tx,
        one.actor,
        EVENT,
        one.subject,
        after=one.asked,
        data=one.asked,
        result="denied",
        request_id=one.request_id,
    )


def _subject(item: "Operation", call: "Call", refused: Forbidden, team_id: str | None) -> Subject:
    """What it was about: the innermost thing that the path names, else what would have been made."""
    collection, named = item.id.partition(".")[0], None
    parts = item.path.split("/")
    for before, part in itertools.pairwise(parts):
        if part.startswith("{"):
            collection, named = _camel(before), call.path[part[1:-1]][:_MOST_TEXT]
    is_id = named is not None and _ID.fullmatch(named) is not None
    return Subject(
        type=_TYPES.get(collection, collection.removesuffix("s")),
        id=named if is_id else None,
        name=None if is_id else named,
        team_id=refused.team_id or team_id or call.actor.team_id,
        project_id=refused.project_id,
        environment=refused.environment,
    )


def _camel(words: str) -> str:
    first, *others = words.split("-")
    return first + "".join(word.title() for word in others)
