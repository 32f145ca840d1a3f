"""The door of every JSON route: token, access, transaction, idempotency, envelope and ETag in one place.

An endpoint names what it needs as typed parameters and returns a Struct; it never sees the HTTP framework.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar, get_type_hints

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from cygnid.core import clock, convert, etag, idempotency, schemas
from cygnid.core.access import Permission
from cygnid.core.actors import Actor, Authenticator, anonymous
from cygnid.core.db import Pool, Read, begin, read
from cygnid.core.errors import (
    CygniError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    UnsupportedMediaType,
)
from cygnid.core.paging import link_header
from cygnid.core.plans import PLANS
from cygnid.core.ratelimit import Limiter
from cygnid.core.schemas import ENCODER, Page
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.settings import Settings

log = logging.getLogger("cygnid.http")
Needs = Permission | Literal["public", "any"]
JSON = ("application/json", "application/merge-patch+json")


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

    def reference(self, name: str) -> str | None:
        """`name` (snake_case) from the path, the body or the query, in this order."""
        found = self.path.get(name) or getattr(self.data, name, None) or getattr(self.query, name, None)
        return found if isinstance(found, str) else None


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
    status: int
    errors: tuple[type[CygniError], ...]
    endpoint: Callable[..., Awaitable[Any]]
    data: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None
    result: Any
    charged: bool
    replayable: bool
    inputs: Mapping[str, Any] = field(repr=False)

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.endpoint) or "").partition("\n")[0]

    @cached_property
    def reads(self) -> bool:
        """Whether a GET of it takes a connection; one that does not answers while the database is away."""
        free = {"call", "actor", "query"}
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
) -> Callable[[Endpoint], Endpoint]:
    """Make an endpoint of a coroutine function. Its parameters, by name: `read` or `tx`, `actor`, `call`, `data`
    (the body's Struct), `query` (the query's Struct), ids of the path; by type: an `Access`.

    `answers`: the data's type where the function returns an `Answer`. `charged`: counts against the rate limit.
    `replayable`: an Idempotency-Key is kept (contract: not for routes that change nothing).
    """

    def register(endpoint: Endpoint) -> Endpoint:
        hints = get_type_hints(endpoint, include_extras=True)
        returned = hints.pop("return")
        OPERATIONS.append(
            Operation(
                id=id,
                method=method,
                path=path,
                needs=needs,
                status=status,
                errors=tuple(errors),
                endpoint=endpoint,
                data=hints.get("data"),
                query=hints.get("query"),
                result=answers or returned,
                charged=charged,
                replayable=replayable and method != "GET",
                inputs=hints,
            )
        )
        return endpoint

    return register


def handlers(services: Services, operations: Sequence[Operation]) -> list[HTTPRouteHandler]:
    """The operations as route handlers of the framework."""
    return [_handler(item, services) for item in operations]


def _handler(item: Operation, services: Services) -> HTTPRouteHandler:
    async def run(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _Run(item, services, request).answer()

    path = item.path.replace("}", ":str}")
    # the answer itself names its status; the framework's default for DELETE would forbid a body
    return route(path, http_method=HttpMethod(item.method), name=item.id, status_code=200)(run)


class _Run:
    """One request on its way through the door."""

    def __init__(self, item: Operation, services: Services, request: Request[Any, Any, Any]) -> None:
        self._item, self._services, self._request = item, services, request
        self._state: dict[str, Any] = request.scope["state"]

    async def answer(self) -> Response[bytes]:
        item, services, request = self._item, self._services, self._request
        if "token" in request.query_params or "access_token" in request.query_params:
            raise Unauthorized("A token in the query would end in logs: send it in the Authorization header.")
        actor = await self._actor()
        if item.charged:
            self._charge(actor)
        raw = await request.body()
        pairs = [(name, value) for name, value in request.query_params.multi_items()]
        call = Call(
            request_id=self._state["request_id"],
            actor=actor,
            services=services,
            path={name: str(value) for name, value in request.path_params.items()},
            query=convert.query(pairs, item.query or _NoQuery),
            data=self._data(raw),
            if_match=etag.required_version(request.headers.get("if-match")),
            client=request.headers.get("x-cygni-client", ""),
        )
        if item.method == "GET":
            async with read(services.pool) if item.reads else nullcontext() as reader:
                answer = _answer(await item.endpoint(**await self._inputs(reader, call)))
            return self._reply(answer, ENCODER.encode(_data_of(answer.data)))
        key = self._key(actor)
        async with begin(services.pool) as tx:
            inputs = await self._inputs(tx, call)
            # access is checked before a replay: who lost it sees nothing
            print_ = idempotency.fingerprint(services.secrets, request.url.query or "", raw) if key else b""
            if key and (stored := await idempotency.look(tx, services.secrets, key, print_)):
                self._state["headers"]["Idempotent-Replayed"] = "true"
                return self._send(stored.data, stored.status, None)
            answer = _answer(await item.endpoint(**inputs))
            data = ENCODER.encode(_data_of(answer.data)) if item.status != 204 else b"null"
            if key:
                await idempotency.keep(
                    tx,
                    services.secrets,
                    key,
                    print_,
                    status=item.status,
                    data=data,
                    resource_id=getattr(answer.data, "id", None),
                    has_secret=answer.has_secret,
                )
        return self._reply(answer, data)

    async def _actor(self) -> Actor:
        services, request = self._services, self._request
        ip = request.client.host if request.client else None
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            if self._item.needs == "public":
                return anonymous(ip)
            raise Unauthorized(headers={"WWW-Authenticate": "Bearer"})
        if scheme.lower() != "bearer":
            raise Unauthorized(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        async with read(services.pool) as reader:
            return await services.authenticate(reader, secret.strip(), ip)

    def _charge(self, actor: Actor) -> None:
        self._state["bucket"] = actor.bucket
        verdict = self._services.limiter.hit(actor.bucket, PLANS[actor.plan])
        self._state["headers"].update(verdict.headers)
        if not verdict.allowed:
            raise RateLimited(
                details={"window": verdict.window, "limit": verdict.limit, "retryAfterSeconds": verdict.retry_after},
                headers={"Retry-After": str(verdict.retry_after)},
            )

    def _data(self, raw: bytes) -> Any:
        if self._item.data is None:
            return None
        media = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if raw and media not in JSON:
            raise UnsupportedMediaType(details={"allowed": list(JSON)})
        return convert.body(raw, self._item.data)

    def _key(self, actor: Actor) -> bytes | None:
        header = self._request.headers.get("idempotency-key")
        if header is None or not self._item.replayable or actor.token_id is None:
            return None
        return idempotency.scope_key(
            self._services.secrets,
            actor.token_id,
            self._item.method,
            self._request.url.path,
            idempotency.parse_key(header),
        )

    async def _inputs(self, connection: Read | None, call: Call) -> dict[str, Any]:
        known = {
            "tx": connection,
            "read": connection,
            "call": call,
            "actor": call.actor,
            "data": call.data,
            "query": call.query,
        }
        inputs: dict[str, Any] = {}
        for name, kind in self._item.inputs.items():
            if name in known:
                inputs[name] = known[name]
            elif name in call.path:
                inputs[name] = call.path[name]
            else:
                inputs[name] = await kind.find(connection, call, self._item.needs)
        return inputs

    def _reply(self, answer: Answer, data: bytes) -> Response[bytes]:
        if answer.location:
            self._state["headers"]["Location"] = answer.location
        if answer.has_secret or answer.status:
            self._state["headers"]["Cache-Control"] = "no-store"
            return self._send(data, answer.status or self._item.status, answer)
        paged = isinstance(answer.data, Page)
        if not paged and answer.version is None and self._item.method != "GET":
            return self._send(data, self._item.status, answer)
        if paged:
            self._state["headers"]["Link"] = link_header(str(self._request.url), answer.data.pagination)
        tagged = data + ENCODER.encode(answer.data.pagination) if paged else data
        tag = etag.etag(tagged, answer.version)
        self._state["headers"] |= {
            "ETag": tag,
            "Vary": "Authorization, Accept",
            "Cache-Control": "private, no-cache",
        }
        if self._item.method == "GET" and etag.not_modified(self._request.headers.get("if-none-match", ""), tag):
            self._unmodified()
            return Response(b"", status_code=304)
        return self._send(data, self._item.status, answer)

    def _unmodified(self) -> None:
        if not self._item.charged:
            return
        self._services.limiter.refund(self._state["bucket"])
        for name in [name for name in self._state["headers"] if "ratelimit" in name.lower()]:
            del self._state["headers"][name]

    def _send(self, data: bytes, status: int, answer: Answer | None) -> Response[bytes]:
        if status == 204:
            return Response(b"", status_code=204)
        meta: dict[str, Any] = _meta(self._state["request_id"])
        if answer is not None and isinstance(answer.data, Page):
            meta["pagination"] = answer.data.pagination
        if answer is not None and answer.warnings:
            meta["warnings"] = list(answer.warnings)
        content = b'{"data":' + data + b',"meta":' + ENCODER.encode(meta) + b"}"
        return Response(content, status_code=status, media_type="application/json")


class _NoQuery(msgspec.Struct):
    """A route without parameters."""


def _answer(result: Any) -> Answer:
    return result if isinstance(result, Answer) else Answer(data=result)


def _data_of(data: Any) -> Any:
    return data.items if isinstance(data, Page) else data


def _meta(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "timestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}


def error_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any exception as the error envelope; what nobody foresaw is logged with its request id and told nothing of."""
    state: dict[str, Any] = request.scope["state"]
    known = _known(error)
    if isinstance(known, InternalError):
        log.error("%s %s failed, request %s", request.method, request.url.path, state["request_id"], exc_info=error)
    state["headers"].update(known.headers)
    body = {
        "error": {
            "code": known.code,
            "message": known.message,
            "hint": known.hint,
            "details": known.details,
            "docUrl": f"/docs/api/reference#{known.code}",
            "errors": list(known.errors),
        },
        "meta": _meta(state["request_id"]),
    }
    return Response(ENCODER.encode(body), status_code=known.status, media_type="application/json")


def _known(error: Exception) -> CygniError:
    if isinstance(error, CygniError):
        return error
    if isinstance(error, HTTPException):
        for known in (NotFound, MethodNotAllowed, PayloadTooLarge):
            if error.status_code == known.status:
                return known(headers={k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"})
    return InternalError()
