"""The client for ordinary code: calls block until they are answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import behavior, retry
from .call import Call, CallBuilder, Query
from .config import resolve
from .errors import APIConnectionError, CygniError
from .paging import Pager
from .response import Response, open_envelope
from .sse import StreamEnd, StreamEvent, StreamState
from .uploads import UploadRequest, UploadSteps

if TYPE_CHECKING:
    import httpx2
    from typing_extensions import Self

T = TypeVar("T")


class Transport:
    """Sends calls; the generated client adds the nouns."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        max_retries: int = behavior.MAX_RETRIES,
        timeout: float = behavior.TIMEOUT_SECONDS,
        transport: httpx2.BaseTransport | None = None,
        client_name: str = behavior.CLIENT_NAME,
    ) -> None:
        from . import wire  # noqa: PLC0415 - the HTTP library is most of what importing this package would cost

        self._wire = wire
        target = resolve(api_key, base_url)
        self._calls = CallBuilder(target, max_retries=max_retries, timeout=timeout, client_name=client_name)
        self._http = wire.new_client(transport)

    @property
    def base_url(self) -> str:
        return self._calls.base_url

    def request(
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
        """Call any route, with all the retries. `path` is as documented: /v1/projects.

        A POST gets an idempotency key of its own unless one is given. Raises APIStatusError for an answer that is
        an error (the class tells which), APIConnectionError without an answer.
        """
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
        answer = self._attempt(call)
        return open_envelope(answer.status, answer.headers, answer.content)

    def paginate(self, path: str, query: Query | None = None) -> Pager[Any]:
        """A list: the first page (`.items`, `.pagination`), all of them by `.pages()`, all items by iteration."""
        return Pager(lambda page_query: self.request("GET", path, query=page_query), query, lambda item: item)

    def stream(self, path: str, query: Query | None = None, *, last_event_id: str | None = None) -> Stream[Any]:
        """The events of any stream, `data` as parsed JSON; see Stream."""
        options = {"timeout": behavior.HEARTBEAT_TIMEOUT_SECONDS}
        return self.open_stream(path, query, last_event_id, lambda data: data, options)

    def open_stream(
        self,
        path: str,
        query: Query | None,
        last_event_id: str | None,
        decode: Callable[[Any], Any],
        options: Mapping[str, Any],
    ) -> Stream[Any]:
        """What the generated methods of streams call; `decode` reads each event's data."""
        call = self._calls.build("GET", path, query=query, is_stream=True, accept="text/event-stream", **options)
        return Stream(self, StreamState(call, last_event_id, decode))

    def read_bytes(self, method: str, path: str, **options: Any) -> Iterator[bytes]:
        """The body of an answer that is not JSON, as it comes."""
        call = self._calls.build(method, path, is_stream=True, accept="*/*", **options)
        response: httpx2.Response = (self._attempt(call)).open_stream
        try:
            yield from response.iter_bytes()
        except self._wire.ERRORS as error:
            raise self._wire.connection_error(call, error) from error
        finally:
            response.close()

    def run_upload(self, steps: UploadSteps) -> Response:
        """Carry out the steps of an upload; see uploads.upload_directory. Returns the completed Upload's answer."""
        return self._run(steps, self._try_request)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(self, call: Call) -> retry.Answer:
        return self._run(retry.attempts(call), self._send)

    def _run(self, steps: Generator[Any, Any, T], perform: Callable[[Any], Any]) -> T:
        """Do what the steps ask for, and tell them what came of it, until they return."""
        step = next(steps)
        while True:
            outcome = time.sleep(step.seconds) if isinstance(step, retry.Pause) else perform(step)
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                return stop.value

    def _try_request(self, request: UploadRequest) -> Response | CygniError:
        try:
            return self.request(request.method, request.path, **request.options)
        except CygniError as error:
            return error

    def _send(self, call: Call) -> retry.Outcome:
        try:
            request = self._http.build_request(**self._wire.request_options(call))
            response = self._http.send(request, stream=call.is_stream)
            if call.is_stream and response.is_success:
                return retry.Answer(response.status_code, response.headers, b"", open_stream=response)
            content = response.read()
            response.close()
            return retry.Answer(response.status_code, response.headers, content)
        except self._wire.ERRORS as error:
            return self._wire.connection_error(call, error)

    def _stream_events(self, state: StreamState) -> Generator[StreamEvent[Any], None, None]:
        while state.end is None:
            call = state.next_call()
            response: httpx2.Response = self._attempt(call).open_stream
            try:
                for chunk in response.iter_bytes():
                    yield from state.feed(chunk)
                    if state.end is not None:
                        return
                failure = APIConnectionError(f"The stream {call.url} broke off.")
            except self._wire.ERRORS as error:
                failure = self._wire.connection_error(call, error)
            finally:
                response.close()
            time.sleep(state.broken(failure))


class Stream(Generic[T]):
    """Iterate to get StreamEvents until the server ends the stream; then `end` says why.

    A broken line, or one without a heartbeat for 45 s, is opened again after the last event seen. Raises
    APIConnectionError when that does not help, APIStatusError when the API refuses.
    """

    def __init__(self, client: Transport, state: StreamState) -> None:
        self._state = state
        self._events = client._stream_events(state)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def end(self) -> StreamEnd | None:
        return self._state.end

    @property
    def last_event_id(self) -> str | None:
        return self._state.last_event_id

    def __iter__(self) -> Iterator[StreamEvent[T]]:
        return self._events

    def close(self) -> None:
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
