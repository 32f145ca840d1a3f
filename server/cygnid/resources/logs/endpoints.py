"""Log lines, listed and as they come."""

from cygnid.core.access import Permission
from cygnid.core.changes import Wake
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound, ValidationError
from cygnid.core.http import Call, Producer, events, operation
from cygnid.core.schemas import Page
from cygnid.core.sse import StreamEnd
from cygnid.resources.logs import queries
from cygnid.resources.logs.access import LinesAccess
from cygnid.resources.logs.follow import follow, newest, oldest
from cygnid.resources.logs.schemas import LinesQuery, LogLine, StreamQuery

_ERRORS = (ValidationError, Forbidden, InsufficientScope, NotFound)


@operation("GET", "/v1/logs", id="logs.list", needs=Permission.LOGS_READ, errors=_ERRORS)
async def list_lines(read: Read, query: LinesQuery, access: LinesAccess) -> Page[LogLine]:
    """Log lines, newest first: what builds, apps, requests and the platform said."""
    return await queries.lines(read, query, [access.condition, *queries.matching(query)])


@events("/v1/logs/stream", id="logs.stream", needs=Permission.LOGS_READ, sends=LogLine, errors=_ERRORS)
async def stream_lines(read: Read, call: Call, query: StreamQuery, access: LinesAccess) -> Producer:
    """Log lines as they are stored: from now on, from `since`, or after the line of `Last-Event-ID`."""
    conditions = [access.condition, *queries.matching(query)]
    start = await (newest if query.since is None else oldest)(read, conditions, call.last_event_id)

    async def lost(read: Read) -> StreamEnd | None:
        """Of several teams or projects one may be lost while the stream as a whole is still allowed."""
        now = await LinesAccess.find(read, call, Permission.LOGS_READ)
        if access.parts is None or (now.parts is not None and access.parts.are_within(now.parts)):
            return None
        return StreamEnd(reason="unauthorized", status=None, exit_code=None)

    return follow(
        call.services, conditions, start, wakes=[access.wake], ended=lost if access.wake == Wake.LINES else None
    )
