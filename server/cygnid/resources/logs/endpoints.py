"""Log lines, listed and as they come."""

from cygnid.core.access import Permission
from cygnid.core.db import Read
from cygnid.core.errors import Forbidden, InsufficientScope, NotFound, ValidationError
from cygnid.core.http import operation
from cygnid.core.schemas import Page
from cygnid.resources.logs import queries
from cygnid.resources.logs.access import LinesAccess
from cygnid.resources.logs.schemas import LinesQuery, LogLine

_ERRORS = (ValidationError, Forbidden, InsufficientScope, NotFound)


@operation("GET", "/v1/logs", id="logs.list", needs=Permission.LOGS_READ, errors=_ERRORS)
async def list_lines(read: Read, query: LinesQuery, access: LinesAccess) -> Page[LogLine]:
    """Log lines, newest first: what builds, apps, requests and the platform said."""
    return await queries.lines(read, query, [access.condition, *queries.matching(query)])
