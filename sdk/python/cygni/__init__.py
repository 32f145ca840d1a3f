"""The Cygni API from Python.

from cygni import CygniClient

with CygniClient() as client:
for project in client.paginate("/v1/projects"):
print(project["name"], project["url"])
"""

from typing import TYPE_CHECKING, Any

from ._runtime.archive import ArchiveError
from ._runtime.call import segment
from ._runtime.client import CygniClient, Stream
from ._runtime.config import DEFAULT_BASE_URL, Login, login_file, normalize_base_url, read_login, resolve
from ._runtime.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    CygniError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from ._runtime.paging import AsyncPager, Page, Pager
from ._runtime.response import APIWarning, Pagination, RateLimit, Response
from ._runtime.sse import StreamEnd, StreamEvent
from ._runtime.version import __version__

if TYPE_CHECKING:
    from ._runtime.async_client import AsyncCygniClient, AsyncStream

__all__ = [
    "DEFAULT_BASE_URL",
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "APIWarning",
    "ArchiveError",
    "AsyncCygniClient",
    "AsyncPager",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "CygniClient",
    "CygniError",
    "InternalServerError",
    "Login",
    "NotFoundError",
    "Page",
    "Pager",
    "Pagination",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "Response",
    "Stream",
    "StreamEnd",
    "StreamEvent",
    "UnprocessableEntityError",
    "__version__",
    "login_file",
    "normalize_base_url",
    "read_login",
    "resolve",
    "segment",
]


def __getattr__(name: str) -> Any:
    # asyncio is a third of what importing this package would cost, and most programs use one of the two clients.
    if name in ("AsyncCygniClient", "AsyncStream"):
        from ._runtime import async_client  # noqa: PLC0415

        return getattr(async_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
