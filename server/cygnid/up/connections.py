"""A client's connection to the API, which ends when the head of a request does not."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""From the first byte, or from connecting, to the end of a request's head."""
HEAD_BYTES = 64 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn waits for the rest of a head for ever and keeps all of it, so that a few thousand clients who send a
    byte now and then would hold every descriptor, and one who never ends all memory."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head:
            self._expect_nothing()
        elif self._head_bytes > HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")
        elif self._timer is None and not self.transport.is_closing():
            self._expect_end()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def _expect_end(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
