"""The client for asyncio: the same decisions as the blocking one, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import behavior, retry
from .call import Call, CallBuilder, Query
from .config import resolve
from .errors import APIConnectionError, CygniError
from .paging import AsyncList
from .response import Response, open_envelope
from .sse import StreamEnd, StreamEvent, StreamState
from .uploads import UploadRequest, UploadSteps

if TYPE_CHECKING:
    import httpx2
    from typing_extensions import Self

T = TypeVar("T")


class AsyncTransport:
    """Sends calls; the generated client adds the nouns."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        max_retries: int = behavior.MAX_RETRIES,
        timeout: float = behavior.TIMEOUT_SECONDS,
        transport: httpx2.AsyncBaseTransport | None = None,
        client_name: str = behavior.CLIENT_NAME,
    ) -> None:
        from . import wire  # noqa: PLC0415 - the HTTP library is most of what importing this package would cost

        self._wire = wire
        target = resolve(api_key, base_url)
        self._calls = CallBuilder(target, max_retries=max_retries, timeout=timeout, client_name=client_name)
        self._http = wire.new_async_client(transport)

    @property
    def base_url(self) -> str:
        return self._calls.base_url

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> Response:
        """As CygniClient.request."""
        call = self._calls.build(
            method,
            path,
            query=query,
            json=json,
            content=content,
            headers=headers,
            idempotency_key=idempotency_key,
            if_match=if_match,
            timeout=timeout,
            max_retries=max_retries,
        )
        answer = await self._attempt(call)
        return open_envelope(answer.status, answer.headers, answer.content)

    def paginate(self, path: str, query: Query | None = None) -> AsyncList[Any]:
        """A list: await it for the first page, or iterate over all items with `async for`."""
        return AsyncList(lambda page_query: self.request("GET", path, query=page_query), query, lambda item: item)

    def stream(self, path: str, query: Query | None = None, *, last_event_id: str | None = None) -> AsyncStream[Any]:
        """The events of any stream, `data` as parsed JSON; see AsyncStream."""
        options = {"timeout": behavior.HEARTBEAT_TIMEOUT_SECONDS}
        return self.open_stream(path, query, last_event_id, lambda data: data, options)

    def open_stream(
        self,
        path: str,
        query: Query | None,
        last_event_id: str | None,
        decode: Callable[[Any], Any],
        options: Mapping[str, Any],
    ) -> AsyncStream[Any]:
        """What the generated methods of streams call; `decode` reads each event's data."""
        call = self._calls.build("GET", path, query=query, is_stream=True, accept="text/event-stream", **options)
        return AsyncStream(self, StreamState(call, last_event_id, decode))

    async def read_bytes(self, method: str, path: str, **options: Any) -> AsyncIterator[bytes]:
        """The body of an answer that is not JSON, as it comes."""
        call = self._calls.build(method, path, is_stream=True, accept="*/*", **options)
        response: httpx2.Response = (await self._attempt(call)).open_stream
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        except self._wire.ERRORS as error:
            raise self._wire.connection_error(call, error) from error
        finally:
            await response.aclose()

    async def run_upload(self, steps: UploadSteps) -> Response:
        """Carry out the steps of an upload; see uploads.upload_directory. Returns the completed Upload's answer."""
        return await self._run(steps, self._try_request)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _attempt(self, call: Call) -> retry.Answer:
        return await self._run(retry.attempts(call), self._send)

    async def _run(self, steps: Generator[Any, Any, T], perform: Callable[[Any], Awaitable[Any]]) -> T:
        """Do what the steps ask for, and tell them what came of it, until they return."""
        step = next(steps)
        while True:
            is_pause = isinstance(step, retry.Pause)
            outcome = await (asyncio.sleep(step.seconds) if is_pause else perform(step))
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                return stop.value

    async def _try_request(self, request: UploadRequest) -> Response | CygniError:
        try:
            return await self.request(request.method, request.path, **request.options)
        except CygniError as error:
            return error

    async def _send(self, call: Call) -> retry.Outcome:
        try:
            request = self._http.build_request(**self._wire.request_options(call))
            response = await self._http.send(request, stream=call.is_stream)
            if call.is_stream and response.is_success:
                return retry.Answer(response.status_code, response.headers, b"", open_stream=response)
            content = await response.aread()
            await response.aclose()
            return retry.Answer(response.status_code, response.headers, content)
        except self._wire.ERRORS as error:
            return self._wire.connection_error(call, error)

    async def _stream_events(self, state: StreamState) -> AsyncGenerator[StreamEvent[Any], None]:
        while state.end is None:
            call = state.next_call()
            response: httpx2.Response = (await self._attempt(call)).open_stream
            try:
                async for chunk in response.aiter_bytes():
                    for event in state.feed(chunk):
                        yield event
                    if state.end is not None:
                        return
                failure = APIConnectionError(f"The stream {call.url} broke off.")
            except self._wire.ERRORS as error:
                failure = self._wire.connection_error(call, error)
            finally:
                await response.aclose()
            await asyncio.sleep(state.broken(failure))


class AsyncStream(Generic[T]):
    """As Stream, for `async for`. Leave the loop early only inside an `async with`, which closes the connection."""

    def __init__(self, client: AsyncTransport, state: StreamState) -> None:
        self._state = state
        self._events = client._stream_events(state)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def end(self) -> StreamEnd | None:
        return self._state.end

    @property
    def last_event_id(self) -> str | None:
        return self._state.last_event_id

    def __aiter__(self) -> AsyncIterator[StreamEvent[T]]:
        return self._events

    async def close(self) -> None:
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
