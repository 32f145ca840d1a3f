"""The client for ordinary code: calls block until they are answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import retry
from .call import Call, CallBuilder, Query
from .config import resolve
from .errors import APIConnectionError, CygniError
from .paging import Pager
from .response import Response, open_envelope
from .sse import HEARTBEAT_TIMEOUT_SECONDS, StreamEnd, StreamEvent, StreamState
from .uploads import UploadRequest, upload_directory, upload_file

if TYPE_CHECKING:
    import httpx2
    from typing_extensions import Self

T = TypeVar("T")


class CygniClient:
    """Cygni's API. Safe to share between threads; close it, or use it in a `with`.

    api_key: else CYGNI_API_KEY, else what `cygni login` kept; "" sends none, for public routes.
    base_url: else CYGNI_API_URL, else the login's (only with its key), else the hosted API.
    max_retries, timeout (seconds): for every call that does not say otherwise.
    transport: an httpx2 transport, for proxies and tests.
    client_name: what the server records as the origin of a change.
    Raises ConfigurationError without a key or with a URL that is none.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        max_retries: int = retry.MAX_RETRIES,
        timeout: float = retry.TIMEOUT_SECONDS,
        transport: httpx2.BaseTransport | None = None,
        client_name: str = "sdk-python",
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

    def paginate(self, path: str, query: Query | None = None) -> Pager:
        """A list: the first page (`.items`, `.pagination`), all of them by `.pages()`, all items by iteration."""
        return Pager(lambda page_query: self.request("GET", path, query=page_query), query)

    def stream(self, path: str, query: Query | None = None, *, last_event_id: str | None = None) -> Stream:
        """The events of a stream, over as many connections as it takes; see Stream."""
        call = self._calls.build("GET", path, query=query, is_stream=True, timeout=HEARTBEAT_TIMEOUT_SECONDS)
        return Stream(self, StreamState(call, last_event_id))

    def upload_file(
        self, path: str | Path, content_type: str, *, on_progress: Callable[[int, int], None] | None = None
    ) -> Response:
        """Upload an archive, going on after a broken connection. Returns the Upload; `on_progress(sent, total)`."""
        return self._run(upload_file(Path(path), content_type, on_progress), self._try_request)

    def upload_directory(self, path: str | Path, *, on_progress: Callable[[int, int], None] | None = None) -> Response:
        """Pack a directory (see archive.pack) and upload it. Raises ArchiveError for what cannot be packed."""
        return self._run(upload_directory(Path(path), on_progress), self._try_request)

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

    def _stream_events(self, state: StreamState) -> Generator[StreamEvent, None, None]:
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


class Stream:
    """Iterate to get StreamEvents until the server ends the stream; then `end` says why.

    A broken line, or one without a heartbeat for 45 s, is opened again after the last event seen. Raises
    APIConnectionError when that does not help, APIStatusError when the API refuses.
    """

    def __init__(self, client: CygniClient, state: StreamState) -> None:
        self._state = state
        self._events = client._stream_events(state)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def end(self) -> StreamEnd | None:
        return self._state.end

    @property
    def last_event_id(self) -> str | None:
        return self._state.last_event_id

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._events

    def close(self) -> None:
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
