"""HTTP/2 without TLS, spoken from the first byte on (prior knowledge, RFC 9113 section 3.3)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

_CHUNK = 65536
_GRPC = (("content-type", "application/grpc"), ("te", "trailers"))

Headers = tuple[tuple[str, str], ...]


async def get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, authority: str, path: str, headers: Headers
) -> int:
    """The status of GET. A gRPC server may have no answer to GET but a reset: such a server is asked for an RPC at that
    path instead. Raises EOFError, OSError or ValueError with the reason for no answer."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=False))
    connection.initiate_connection()

    async def ask(method: str, more: Headers = ()) -> int | None:
        """None: the server reset the stream."""
        stream = connection.get_next_available_stream_id()
        pseudo = ((":method", method), (":scheme", "http"), (":authority", authority), (":path", path))
        connection.send_headers(stream, [*pseudo, *headers, *more], end_stream=True)
        async with aclosing(_events(connection, reader, writer)) as events:
            async for event in events:
                match event:
                    case h2.events.ResponseReceived(stream_id=of, headers=received) if of == stream:
                        return next(int(value) for name, value in received or () if name == b":status")
                    case h2.events.StreamReset(stream_id=of) if of == stream:
                        return None
                    case h2.events.ConnectionTerminated(error_code=code):
                        raise EOFError(f"the connection was closed without an answer ({_name(code)})")
                    case _:
                        pass
        raise EOFError("the connection was closed without an answer")

    try:
        status = await ask("GET")
        if status is None:
            status = await ask("POST", _GRPC)
    except h2.exceptions.ProtocolError as error:
        raise ValueError("the answer is not HTTP/2") from error
    if status is None:
        raise EOFError("the request was reset without an answer")
    return status


async def _events(
    connection: h2.connection.H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator[h2.events.Event]:
    while True:
        writer.write(connection.data_to_send())
        await writer.drain()
        received = await reader.read(_CHUNK)
        if not received:
            return
        if received.startswith(b"HTTP/1."):
            raise ValueError("the answer is HTTP/1.1 and not HTTP/2")
        for event in connection.receive_data(received):
            yield event


def _name(code: h2.errors.ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)
