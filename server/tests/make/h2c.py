"""A server that knows HTTP/2 with prior knowledge and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events

Request = dict[str, str]
Answer = Callable[[h2.connection.H2Connection, int, Request], None]
"""Given the connection, the stream and the request's headers."""


@asynccontextmanager
async def serving(answer: Answer, seen: list[Request]) -> AsyncIterator[int]:
    """Its port. The headers of each request go to `seen`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while received := await reader.read(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.stream_id is not None
                    seen.append(dict(event.headers or ()))
                    answer(connection, event.stream_id, seen[-1])
            writer.write(connection.data_to_send())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
