"""What the generated nouns stand on: arguments to a request, an answer to a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, cast

from .behavior import HEARTBEAT_TIMEOUT_SECONDS
from .call import wire_time
from .model import Model
from .paging import AsyncList, Pager
from .response import Response

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from .async_client import AsyncStream, AsyncTransport
    from .client import Stream, Transport

    P = ParamSpec("P")
T = TypeVar("T")


class Omit:
    """Stands for an argument that is not given: in an update, what is absent stays, and None clears."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "OMIT"


OMIT = Omit()


class Options(TypedDict, total=False):
    """What one call may say beside its arguments. Times are in seconds."""

    timeout: float
    max_retries: int
    idempotency_key: str
    if_match: str
    headers: Mapping[str, str]


class StreamOptions(TypedDict, total=False):
    """`timeout` is the longest silence, in seconds; the server says something every 15."""

    timeout: float
    max_retries: int
    headers: Mapping[str, str]


class RawResponse(Response, Generic[T]):
    """An answer as it came; `parse()` gives what the method returns."""

    def __init__(self, response: Response, result: Callable[[], T]) -> None:
        super().__init__(response.status, response.headers, response.content, response.data, response.meta)
        object.__setattr__(self, "_result", result)

    def parse(self) -> T:
        return cast("Callable[[], T]", getattr(self, "_result"))()  # noqa: B009 - set past the frozen dataclass


def raw(method: Callable[P, T]) -> Callable[P, RawResponse[T]]:
    """The type of a method of a resource made with `is_raw`."""
    return cast("Any", method)


def raw_async(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[RawResponse[T]]]:
    """As raw, awaited."""
    return cast("Any", method)


class Resource:
    """One noun of the blocking client."""

    def __init__(self, client: Transport, *, is_raw: bool = False) -> None:
        self._client = client
        self._is_raw = is_raw

    def _call(self, method: str, path: str, model: str, **given: Any) -> Any:
        response = self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: read(model, response))

    def _call_none(self, method: str, path: str, **given: Any) -> Any:
        response = self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: None)

    def _call_document(self, method: str, path: str, **given: Any) -> Any:
        response = self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: response.data)

    def _list(self, path: str, model: str, query: Mapping[str, Any], options: Options | None) -> Any:
        given = request_options(options=options)
        pager: Pager[Any] = Pager(
            lambda page: self._client.request("GET", path, query=page, **given), present(query), reader(model)
        )
        return self._result(pager.last_response, lambda: pager)

    def _stream(
        self,
        path: str,
        model: str,
        query: Mapping[str, Any],
        last_event_id: str | None,
        options: StreamOptions | None,
    ) -> Stream[Any]:
        return self._client.open_stream(path, present(query), last_event_id, reader(model), stream_options(options))

    def _bytes(self, method: str, path: str, **given: Any) -> Iterator[bytes]:
        return self._client.read_bytes(method, path, **request_options(**given))

    def _result(self, response: Response, result: Callable[[], Any]) -> Any:
        return RawResponse(response, result) if self._is_raw else result()


class AsyncResource:
    """One noun of the client for asyncio."""

    def __init__(self, client: AsyncTransport, *, is_raw: bool = False) -> None:
        self._client = client
        self._is_raw = is_raw

    async def _call(self, method: str, path: str, model: str, **given: Any) -> Any:
        response = await self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: read(model, response))

    async def _call_none(self, method: str, path: str, **given: Any) -> Any:
        response = await self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: None)

    async def _call_document(self, method: str, path: str, **given: Any) -> Any:
        response = await self._client.request(method, path, **request_options(**given))
        return self._result(response, lambda: response.data)

    def _list(self, path: str, model: str, query: Mapping[str, Any], options: Options | None) -> Any:
        given = request_options(options=options)
        found: AsyncList[Any] = AsyncList(
            lambda page: self._client.request("GET", path, query=page, **given), present(query), reader(model)
        )
        return self._raw_list(found) if self._is_raw else found

    async def _raw_list(self, found: AsyncList[Any]) -> Any:
        pager = await found
        return RawResponse(pager.last_response, lambda: pager)

    def _stream(
        self,
        path: str,
        model: str,
        query: Mapping[str, Any],
        last_event_id: str | None,
        options: StreamOptions | None,
    ) -> AsyncStream[Any]:
        return self._client.open_stream(path, present(query), last_event_id, reader(model), stream_options(options))

    def _bytes(self, method: str, path: str, **given: Any) -> AsyncIterator[bytes]:
        return self._client.read_bytes(method, path, **request_options(**given))

    def _result(self, response: Response, result: Callable[[], Any]) -> Any:
        return RawResponse(response, result) if self._is_raw else result()


def reader(model: str) -> Callable[[Any], Any]:
    """From JSON to the model of this name; the module of all models is loaded when the first one is read."""
    from cygni import types  # noqa: PLC0415

    kind: type[Model] = getattr(types, model)
    return lambda value: kind(value) if isinstance(value, Mapping) else value


def read(model: str, response: Response) -> Any:
    """What a call returns. An answer without a body (304, where the caller asked for it) is None."""
    if not isinstance(response.data, Mapping):
        return response.data
    from cygni import types  # noqa: PLC0415

    return getattr(types, model)(response.data, response)


def request_options(
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str | None] | None = None,
    options: Options | None = None,
) -> dict[str, Any]:
    """The arguments of `request`, without what was not given."""
    found: dict[str, Any] = dict(options or {})
    own = {name: value for name, value in (headers or {}).items() if value is not None}
    if own:
        found["headers"] = {**own, **found.get("headers", {})}
    if query:
        found["query"] = present(query)
    if body is not None:
        found["json"] = {name: encode(value, "") for name, value in present(body).items()}
    if content is not None:
        found["content"] = content
    return found


def stream_options(options: StreamOptions | None) -> dict[str, Any]:
    return {"timeout": HEARTBEAT_TIMEOUT_SECONDS, **(options or {})}


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was omitted."""
    return {name: value for name, value in values.items() if not isinstance(value, Omit)}


def encode(value: Any, table: str) -> Any:
    """A value as JSON. `table` names the input whose fields it has; names that the table does not know stay as given.

    Raises ValueError for a time without a time zone.
    """
    if isinstance(value, Omit):
        return value
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, Mapping):
        from cygni._encoders import INPUTS  # noqa: PLC0415 - most calls have no nested input

        fields = INPUTS.get(table, {})
        return {
            fields.get(key, (key, ""))[0]: encode(each, fields.get(key, (key, ""))[1])
            for key, each in present(cast("Mapping[str, Any]", value)).items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [encode(each, table) for each in cast("Sequence[Any]", value)]
    return value
