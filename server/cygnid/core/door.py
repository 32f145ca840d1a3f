"""The door: token, rate limit, access, transaction, idempotency, envelope and ETag of every operation in one place."""

import dataclasses
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from cygnid.core import clock, convert, etag, idempotency
from cygnid.core.access import TeamAccess
from cygnid.core.actors import Actor, anonymous
from cygnid.core.db import UNREACHABLE, Read, begin, read
from cygnid.core.errors import (
    CygniError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    SessionRequired,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from cygnid.core.http import Answer, Body, Call, ClientGone, Download, Operation, Producer, Services
from cygnid.core.paging import link_header
from cygnid.core.plans import PLANS
from cygnid.core.schemas import ENCODER, Page
from cygnid.core.streams import Streams

log = logging.getLogger("cygnid.http")


def handlers(services: Services, operations: Sequence[Operation]) -> list[HTTPRouteHandler]:
    """The operations as route handlers of the framework."""
    streams = Streams(services)
    return [_handler(item, services, streams) for item in operations]


def _handler(item: Operation, services: Services, streams: Streams) -> HTTPRouteHandler:
    async def run(request: Request[Any, Any, Any]) -> ASGIApp:
        return await _Run(item, services, request, streams).answer()

    limit: dict[str, Any] = {"request_max_body_size": None} if item.kind == "receive" else {}
    path = item.path.replace("}", ":str}")
    # the answer itself names its status; the framework's default for DELETE would forbid a body
    return route(path, http_method=HttpMethod(item.method), name=item.id, status_code=200, **limit)(run)


class _Run:
    """One request on its way through the door."""

    def __init__(self, item: Operation, services: Services, request: Request[Any, Any, Any], streams: Streams) -> None:
        self._item, self._services, self._request, self._streams = item, services, request, streams
        self._headers = request.headers  # the framework makes them anew each time
        self._state: dict[str, Any] = request.scope["state"]
        self._team_id: str | None = None
        """Of the access that was found, for what is refused after it."""

    async def answer(self) -> ASGIApp:
        item, services, request = self._item, self._services, self._request
        if "token" in request.query_params or "access_token" in request.query_params:
            raise Unauthorized("A token in the query would end in logs: send it in the Authorization header.")
        secret = self._secret()
        if item.method == "GET" and item.kind not in ("events", "download") and item.reads:
            # one connection for who asks and for what they ask
            async with read(services.pool) as reader:
                call, _ = await self._call(await self._actor(secret, reader))
                answer = _answer(await item.endpoint(**await self._inputs(reader, call)))
            return self._reply(answer, ENCODER.encode(_data_of(answer.data)))
        call, raw = await self._call(await self._actor(secret))
        try:
            return await self._called(call, raw)
        except Forbidden as refused:
            services.refusals.note(item, call, refused, self._team_id)
            raise

    async def _called(self, call: Call, raw: bytes) -> ASGIApp:
        item = self._item
        if item.kind == "events":
            return await self._stream(call)
        if item.kind == "download":
            return await self._download(call)
        if item.kind == "receive":
            return await self._receive(call)
        if item.method == "GET":
            answer = _answer(await item.endpoint(**await self._inputs(None, call)))
            return self._reply(answer, ENCODER.encode(_data_of(answer.data)))
        return await self._change(call, raw)

    async def _call(self, actor: Actor) -> tuple[Call, bytes]:
        """With the body as it came, where one is expected."""
        item, request = self._item, self._request
        if item.charged:
            self._charge(actor)
        path = {name: str(value) for name, value in request.path_params.items()}
        if any("\0" in value for value in path.values()):
            raise NotFound  # no id or name has it, and the database takes no text that does
        raw = b"" if item.kind == "receive" or item.method == "GET" else await request.body()
        pairs = [(name, value) for name, value in request.query_params.multi_items()]
        call = Call(
            request_id=self._state["request_id"],
            actor=actor,
            services=self._services,
            path=path,
            query=convert.query(pairs, item.query or _NoQuery),
            data=self._data(raw),
            if_match=etag.required_version(self._headers.get("if-match")),
            client=self._headers.get("x-cygni-client", ""),
            last_event_id=self._headers.get("last-event-id"),
        )
        return call, raw

    async def _change(self, call: Call, raw: bytes) -> ASGIApp:
        item, services, request = self._item, self._services, self._request
        if not item.reads and not item.replayable:
            answer = _answer(await item.endpoint(**await self._inputs(None, call)))
            return self._reply(answer, ENCODER.encode(_data_of(answer.data)))
        key = self._key(call.actor)
        async with begin(services.pool) as tx:
            inputs = await self._inputs(tx, call)
            # access is checked before a replay: who lost it sees nothing
            print_ = idempotency.fingerprint(services.secrets, request.url.query or "", raw) if key else b""
            if key and (stored := await idempotency.look(tx, services.secrets, key, print_)):
                self._state["headers"] |= {"Idempotent-Replayed": "true", "Cache-Control": "no-store"}
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

    async def _stream(self, call: Call) -> ASGIApp:
        async with read(self._services.pool) as reader:
            produce: Producer = await self._item.endpoint(**await self._inputs(reader, call))
        frames = self._streams.frames(call.actor, produce, lambda: self._ask_again(call))
        self._state["headers"] |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(frames, media_type="text/event-stream").to_asgi_response(app=None, request=self._request)

    async def _download(self, call: Call) -> ASGIApp:
        async with read(self._services.pool) as reader:
            inputs = await self._inputs(reader, call)
        found: Download = await self._item.endpoint(**inputs)
        pieces = self._streams.pieces(call.actor, found, lambda: self._ask_again(call))
        self._state["headers"] |= {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{found.filename}"',
            "X-Accel-Buffering": "no",
        }
        stream = Stream(pieces, media_type=found.media).to_asgi_response(app=None, request=self._request)

        async def send_all(scope: Scope, receive: Receive, send: Send) -> None:
            async with aclosing(pieces):  # however it ends, what it holds is given back at once
                await stream(scope, receive, send)

        return send_all

    async def _ask_again(self, call: Call) -> None:
        """Raises what the caller would be told now."""
        actor = await self._actor(self._secret())
        async with read(self._services.pool) as reader:
            await self._inputs(reader, dataclasses.replace(call, actor=actor))

    async def _receive(self, call: Call) -> ASGIApp:
        headers = self._headers
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in self._item.media:
            raise UnsupportedMediaType(
                hint=f"Send one of: {', '.join(self._item.media)}.", details={"allowed": list(self._item.media)}
            )
        length = headers.get("content-length", "")
        body = Body(
            chunks=self._chunks(),
            content_type=media,
            content_range=headers.get("content-range"),
            content_length=int(length) if length.isdecimal() else None,
        )
        async with read(self._services.pool) as reader:
            inputs = await self._inputs(reader, call, body)
        answer = _answer(await self._item.endpoint(**inputs))
        return self._reply(answer, ENCODER.encode(_data_of(answer.data)))

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._request.stream():
                yield chunk
        except HTTPException as gone:
            # the framework's word for a client that disconnects in mid-body
            raise ClientGone from gone

    def _secret(self) -> str | None:
        """The caller's; None: nobody's, where anybody may ask."""
        scheme, _, secret = self._headers.get("authorization", "").partition(" ")
        if not scheme:
            if self._item.needs == "public":
                return None
            raise Unauthorized(headers={"WWW-Authenticate": "Bearer"})
        if scheme.lower() != "bearer":
            raise Unauthorized(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return secret.strip()

    async def _actor(self, secret: str | None, reader: Read | None = None) -> Actor:
        services, client = self._services, self._request.client
        ip = client.host if client else None
        if secret is None:
            return anonymous(ip)
        if reader is not None:
            return await services.authenticate(reader, secret, ip)
        async with read(services.pool) as own:
            return await services.authenticate(own, secret, ip)

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
        media = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if raw and media not in self._item.media:
            raise UnsupportedMediaType(details={"allowed": list(self._item.media)})
        return convert.body(raw, self._item.data)

    def _key(self, actor: Actor) -> bytes | None:
        header = self._headers.get("idempotency-key")
        if header is None or not self._item.replayable or actor.token_id is None:
            return None
        return idempotency.scope_key(
            self._services.secrets,
            actor.token_id,
            self._item.method,
            self._request.url.path,
            idempotency.parse_key(header),
        )

    async def _inputs(self, connection: Read | None, call: Call, body: Body | None = None) -> dict[str, Any]:
        known = {
            "tx": connection,
            "read": connection,
            "call": call,
            "actor": call.actor,
            "data": call.data,
            "query": call.query,
            "body": body,
        }
        if self._item.needs == "session" and call.actor.kind != "session":
            raise SessionRequired
        inputs: dict[str, Any] = {}
        for name, kind in self._item.inputs.items():
            if name in known:
                inputs[name] = known[name]
            elif name in call.path:
                inputs[name] = call.path[name]
            else:
                inputs[name] = found = await kind.find(connection, call, self._item.needs)
                if isinstance(found, TeamAccess):
                    self._team_id = found.team_id
        return inputs

    def _reply(self, answer: Answer, data: bytes) -> ASGIApp:
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
        if self._item.method == "GET" and etag.not_modified(self._headers.get("if-none-match", ""), tag):
            self._unmodified()
            return _Sent(304)
        return self._send(data, self._item.status, answer)

    def _unmodified(self) -> None:
        if not self._item.charged:
            return
        self._services.limiter.refund(self._state["bucket"])
        for name in [name for name in self._state["headers"] if "ratelimit" in name.lower()]:
            del self._state["headers"][name]

    def _send(self, data: bytes, status: int, answer: Answer | None) -> ASGIApp:
        if status == 204:
            return _Sent(204)
        if self._item.kind == "bare":
            return _Sent(status, data)
        meta: dict[str, Any] = _meta(self._state["request_id"])
        if answer is not None and isinstance(answer.data, Page):
            meta["pagination"] = answer.data.pagination
        if answer is not None and answer.warnings:
            meta["warnings"] = list(answer.warnings)
        content = b'{"data":' + data + b',"meta":' + ENCODER.encode(meta) + b"}"
        return _Sent(status, content)


class _Sent:
    """An answer as it stands. The framework's Response would do the same, at several times the cost."""

    def __init__(self, status: int, json: bytes | None = None) -> None:
        self._status, self._json = status, json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = []
        if self._json is not None:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self._json))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._json or b"", "more_body": False})


class _NoQuery(msgspec.Struct):
    """A route without parameters."""


def _answer(result: Any) -> Answer:
    return result if isinstance(result, Answer) else Answer(data=result)


def _data_of(data: Any) -> Any:
    return data.items if isinstance(data, Page) else data


def _meta(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "timestamp": f"{clock.text(clock.now())[:19]}Z"}


def error_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any exception as the error envelope; what nobody foresaw is logged with its request id and told nothing of."""
    state: dict[str, Any] = request.scope["state"]
    known = _known(error)
    if isinstance(known, InternalError):
        log.error("%s %s failed, request %s", request.method, request.url.path, state["request_id"], exc_info=error)
    elif isinstance(error, UNREACHABLE):
        # with its trace: it may be a file of ours as well as the database
        log.warning("%s %s could not be answered", request.method, request.url.path, exc_info=error)
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
    if isinstance(error, UNREACHABLE):
        return Unavailable(headers={"Retry-After": "1"})
    return InternalError()
