"""The Cygni API from Python.

from cygni import CygniClient

with CygniClient() as client:
for project in client.projects.list():
print(project.name, project.url)
"""

from typing import TYPE_CHECKING, Any

from ._client import CygniClient
from ._runtime.archive import ArchiveError
from ._runtime.behavior import DEFAULT_BASE_URL
from ._runtime.behavior import VERSION as __version__  # noqa: N811 - the name every package has
from ._runtime.call import segment
from ._runtime.client import Stream
from ._runtime.config import Login, login_file, normalize_base_url, read_login, resolve
from ._runtime.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    CygniError,
    DeploymentFailedError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
    WebhookVerificationError,
)
from ._runtime.model import Model, UnknownEvent
from ._runtime.paging import AsyncList, AsyncPager, Page, Pager
from ._runtime.resource import OMIT, Omit, Options, RawResponse, StreamOptions
from ._runtime.response import APIWarning, Pagination, RateLimit, Response
from ._runtime.sse import StreamEnd, StreamEvent

if TYPE_CHECKING:
    from ._async_client import AsyncCygniClient
    from ._runtime.async_client import AsyncStream

__all__ = [
    "DEFAULT_BASE_URL",
    "OMIT",
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "APIWarning",
    "ArchiveError",
    "AsyncCygniClient",
    "AsyncList",
    "AsyncPager",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "CygniClient",
    "CygniError",
    "DeploymentFailedError",
    "InternalServerError",
    "Login",
    "Model",
    "NotFoundError",
    "Omit",
    "Options",
    "Page",
    "Pager",
    "Pagination",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "RawResponse",
    "Response",
    "Stream",
    "StreamEnd",
    "StreamEvent",
    "StreamOptions",
    "UnknownEvent",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "__version__",
    "login_file",
    "normalize_base_url",
    "read_login",
    "resolve",
    "segment",
]


def __getattr__(name: str) -> Any:
    # asyncio is a third of what importing this package would cost, and most programs use one of the two clients.
    if name == "AsyncCygniClient":
        from ._async_client import AsyncCygniClient  # noqa: PLC0415

        return AsyncCygniClient
    if name == "AsyncStream":
        from ._runtime.async_client import AsyncStream  # noqa: PLC0415

        return AsyncStream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
