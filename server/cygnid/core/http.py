"""The table of operations, and what an endpoint may ask for: `core/door.py` runs it.

An endpoint names what it needs as typed parameters and returns a Struct; it never sees the HTTP framework.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar, get_type_hints

import msgspec

from cygnid.core import schemas
from cygnid.core.access import Permission
from cygnid.core.actors import Actor, Authenticator
from cygnid.core.db import Pool, Read
from cygnid.core.errors import CygniError
from cygnid.core.ratelimit import Limiter
from cygnid.core.refusals import Refusals
from cygnid.core.secrets import Secrets
from cygnid.core.sse import Outbox, StreamEnd
from cygnid.core.wakeups import Wakeups
from cygnid.settings import Settings

Needs = Permission | Literal["public", "any", "session"]
"""session: whoever is signed in, by a `cygs_` token and no other."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the door needs of the running process."""

    settings: Settings
    pool: Pool
    secrets: Secrets
    limiter: Limiter
    authenticate: Authenticator
    wakeups: Wakeups
    stopping: asyncio.Event
    """Set when the process shall end: streams end then."""
    refusals: Refusals = field(default_factory=Refusals)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as an endpoint or an access check may look at it."""

    request_id: str
    actor: Actor
    services: Services
    path: Mapping[str, str]
    query: Any
    data: Any
    if_match: int | None
    """The version that the client read; None: it did not say, or said `*`."""
    client: str
    """X-Cygni-Client as it came."""
    last_event_id: str | None = None
    """Where a stream goes on."""

    def reference(self, name: str) -> str | None:
        """`name` (snake_case) from the path, the body or the query, in this order."""
        found = self.path.get(name) or getattr(self.data, name, None) or getattr(self.query, name, None)
        return found if isinstance(found, str) else None


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body that is taken as it comes, for `receive`."""

    chunks: AsyncIterator[bytes]
    """Breaks off with ClientGone when the sender does."""
    content_type: str
    content_range: str | None
    content_length: int | None


class ClientGone(Exception):
    """The client left before its body was complete: nobody waits for an answer."""


Producer = Callable[[Outbox], Awaitable[StreamEnd]]
"""What an endpoint of `events` returns: sends frames until the stream ends. It holds no connection while it waits."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """What an endpoint of `download` returns."""

    pieces: Callable[[], AsyncGenerator[bytes]]
    """Each is taken when the one before it is on its way; it holds no connection meanwhile."""
    media: str
    filename: str


class Access(Protocol):
    """A parameter type whose value proves a permission."""

    @classmethod
    async def find(cls, read: Read, call: Call, needs: Permission) -> Any:
        """The proof. Raises NotFound for what is not the caller's, InsufficientScope for what they may not do."""
        ...


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An endpoint's result that says more than its data."""

    data: Any
    version: int | None = None
    """Raised by every change of a settable field; the second half of the ETag."""
    location: str | None = None
    warnings: Sequence[schemas.Warning] = ()
    has_secret: bool = False
    """`data` holds a secret that is shown once: not stored beyond ten minutes, never cached."""
    status: int | None = None
    """Of a GET, where it is not the operation's own: health when the platform is down. Never cached."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of the table that routes, the OpenAPI document and the rule tests are made of."""

    id: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    needs: Needs
    errors: tuple[type[CygniError], ...]
    endpoint: Callable[..., Awaitable[Any]]
    data: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    result: Any
    inputs: Mapping[str, Any] = field(repr=False)
    status: int = 200
    charged: bool = True
    replayable: bool = False
    kind: Literal["json", "bare", "events", "receive", "download"] = "json"
    """bare: JSON without the envelope; events: a stream of them; receive: a body of bytes, taken as it comes;
    download: an answer of bytes, sent as it is made."""
    example: Mapping[str, Any] | None = None
    media: tuple[str, ...] = ("application/json", "application/merge-patch+json")
    """The types of body that it takes; of a download those that it sends."""

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.endpoint) or "").partition("\n")[0]

    @cached_property
    def reads(self) -> bool:
        """Whether it takes a connection. A GET that does not answers while the database is away; a change that does
        not, and keeps no Idempotency-Key, begins its own transactions."""
        free = {"call", "actor", "query", "body", "data"}
        return any(name not in free and f"{{{name}}}" not in self.path for name in self.inputs)


OPERATIONS: list[Operation] = []
Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])


def operation(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    *,
    id: str,  # noqa: A002  the OpenAPI word
    needs: Needs,
    status: int = 200,
    answers: Any = None,
    errors: Sequence[type[CygniError]] = (),
    charged: bool = True,
    replayable: bool = True,
    bare: bool = False,
    example: Mapping[str, Any] | None = None,
) -> Callable[[Endpoint], Endpoint]:
    """Make an endpoint of a coroutine function. Its parameters, by name: `read` or `tx`, `actor`, `call`, `data`
    (the body's Struct), `query` (the query's Struct), ids of the path; by type: an `Access`.

    `answers`: the data's type where the function returns an `Answer`. `charged`: counts against the rate limit.
    `replayable`: an Idempotency-Key is kept (contract: not for routes that change nothing). `bare`: no envelope.
    `example`: a body for the document; the tests send it.
    """
    return _registered(
        answers,
        id=id,
        method=method,
        path=path,
        needs=needs,
        status=status,
        errors=tuple(errors),
        charged=charged,
        replayable=replayable and method != "GET",
        kind="bare" if bare else "json",
        example=example,
    )


def events(
    path: str,
    *,
    id: str,  # noqa: A002  the OpenAPI word
    needs: Needs,
    sends: Any,
    errors: Sequence[type[CygniError]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Make a GET that answers with server-sent events. The coroutine function takes the parameters of `operation`, may
    raise what becomes a JSON error, and returns a `Producer`, which runs once the connection is given back.

    `sends`: the type of a frame's data. The stream ends with `unauthorized` when its caller loses the token or the
    permission; at most `streams.MAX_STREAMS` of a token are open at once.
    """
    return _registered(sends, id=id, method="GET", path=path, needs=needs, errors=tuple(errors), kind="events")


def download(
    path: str,
    *,
    id: str,  # noqa: A002  the OpenAPI word
    needs: Needs,
    media: Sequence[str],
    errors: Sequence[type[CygniError]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Make a GET that answers with bytes of any number, of one of the types `media`. The coroutine function takes the
    parameters of `events`, may raise what becomes a JSON error, and returns a `Download`, which is sent once the
    connection is given back. What ends before its end, by an error or because the caller may see it no longer, breaks
    the connection: a client takes no part for the whole. Counts as a stream."""
    return _registered(
        None, id=id, method="GET", path=path, needs=needs, errors=tuple(errors), kind="download", media=tuple(media)
    )


def receive(
    path: str,
    *,
    id: str,  # noqa: A002  the OpenAPI word
    needs: Needs,
    media: Sequence[str],
    answers: Any = None,
    errors: Sequence[type[CygniError]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Make a PUT that takes a body of any size as it comes. The function gets `body: Body` besides the parameters of
    `operation`; its access was checked on a connection that is given back, and it begins its own transactions."""
    return _registered(
        answers, id=id, method="PUT", path=path, needs=needs, errors=tuple(errors), kind="receive", media=tuple(media)
    )


def _registered(answers: Any, **fields: Any) -> Callable[[Endpoint], Endpoint]:
    """Adds the endpoint to the table, with what its signature says."""

    def register(endpoint: Endpoint) -> Endpoint:
        hints = get_type_hints(endpoint, include_extras=True)
        returned = hints.pop("return")
        OPERATIONS.append(
            Operation(
                endpoint=endpoint,
                data=hints.get("data"),
                query=hints.get("query"),
                result=answers or returned,
                inputs=hints,
                **fields,
            )
        )
        return endpoint

    return register
