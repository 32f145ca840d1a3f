import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest

from cygnid.core.sse import PING, Outbox, StreamEnd, TooSlow, frame, stream

WAIT = 20
FINISHED = StreamEnd(reason="finished", status="success", exit_code=0)


def end_of(made: bytes) -> dict[str, object]:
    assert made.startswith(b"event: end\ndata: ")
    return msgspec.json.decode(made.removeprefix(b"event: end\ndata: "))


async def everything(frames: AsyncGenerator[bytes]) -> list[bytes]:
    async with asyncio.timeout(WAIT):
        return [made async for made in frames if made != PING]


async def forever(_: Outbox) -> StreamEnd:
    await asyncio.Event().wait()
    return FINISHED


def test_a_frame_is_its_event_its_id_and_one_line_of_data():
    made = frame("log", {"message": "one\ntwo\r\n\u2028three"}, id="log_1")
    assert made.startswith(b'event: log\nid: log_1\ndata: {"message":"one\\ntwo\\r\\n')
    assert made.endswith(b"\n\n")
    assert made.count(b"\n") == 4
    assert b"\r" not in made
    assert frame("gap", {"from": None}) == b'event: gap\ndata: {"from":null}\n\n'


@pytest.mark.parametrize(
    ("event", "id_"), [("log\ndata: x", None), ("log", "1\n\nevent: end"), ("log", "1\r"), ("log", "\0")]
)
def test_nothing_can_forge_a_frame(event: str, id_: str | None):
    with pytest.raises(ValueError, match="forge"):
        frame(event, {}, id=id_)


async def test_a_stream_gives_all_in_order_and_then_says_how_it_ended():
    async def produce(outbox: Outbox) -> StreamEnd:
        for number in range(100):
            await outbox.send("log", number, id=str(number))
        return FINISHED

    made = await everything(stream(produce, stopping=asyncio.Event(), frames=3))
    assert made[:-1] == [frame("log", number, id=str(number)) for number in range(100)]
    assert end_of(made[-1]) == {"reason": "finished", "status": "success", "exitCode": 0}


async def test_silence_is_filled_with_pings_and_data_still_comes():
    go = asyncio.Event()

    async def produce(outbox: Outbox) -> StreamEnd:
        await go.wait()
        await outbox.send("log", 1)
        return FINISHED

    frames = stream(produce, stopping=asyncio.Event(), ping_seconds=0.01)
    async with asyncio.timeout(WAIT):
        assert [await anext(frames), await anext(frames)] == [PING, PING]
    assert PING == b": ping\n\n"
    go.set()
    assert (await everything(frames))[0] == frame("log", 1)


async def test_when_the_server_stops_the_stream_ends_at_once():
    stopping = asyncio.Event()
    frames = stream(forever, stopping=stopping)
    waiting = asyncio.create_task(everything(frames))
    await asyncio.sleep(0)
    stopping.set()
    assert [end_of(made) for made in await waiting] == [{"reason": "shutdown", "status": None, "exitCode": None}]


async def test_a_stopping_server_does_not_send_what_is_queued():
    stopping = asyncio.Event()

    async def produce(outbox: Outbox) -> StreamEnd:
        while True:
            await outbox.send("log", 1)

    frames = stream(produce, stopping=stopping, frames=50)
    async with asyncio.timeout(WAIT):
        await anext(frames)
    stopping.set()
    assert [end_of(made)["reason"] for made in await everything(frames)] == ["shutdown"]


async def test_a_client_that_does_not_read_is_told_so_and_holds_a_bounded_queue():
    gave_up = asyncio.Event()
    sent = 0

    async def produce(outbox: Outbox) -> StreamEnd:
        nonlocal sent
        try:
            while True:
                await outbox.send("log", sent)
                sent += 1
        except TooSlow:
            gave_up.set()
            raise

    frames = stream(produce, stopping=asyncio.Event(), frames=5, patience_seconds=0.05)
    async with asyncio.timeout(WAIT):
        assert await anext(frames) == frame("log", 0)
        await gave_up.wait()
    made = await everything(frames)
    assert sent <= 6
    assert made[:-1] == [frame("log", number) for number in range(1, sent)]
    assert end_of(made[-1])["reason"] == "tooSlow"


async def test_a_slow_client_that_does_read_is_waited_for():
    async def produce(outbox: Outbox) -> StreamEnd:
        for number in range(6):
            await outbox.send("log", number)
        return FINISHED

    made: list[bytes] = []
    async with asyncio.timeout(WAIT):
        async for item in stream(produce, stopping=asyncio.Event(), frames=1, patience_seconds=WAIT):
            made.append(item)
            # others run between two reads, as between two packets
            await asyncio.sleep(0.001)
    assert len(made) == 7


async def test_the_producer_decides_that_the_token_is_no_longer_good():
    async def produce(outbox: Outbox) -> StreamEnd:
        return StreamEnd(reason="unauthorized", status=None, exit_code=None)

    made = await everything(stream(produce, stopping=asyncio.Event()))
    assert [end_of(item)["reason"] for item in made] == ["unauthorized"]


async def test_a_failure_breaks_the_stream_without_an_end():
    async def produce(outbox: Outbox) -> StreamEnd:
        await outbox.send("log", 1)
        raise LookupError("the database is gone")

    frames = stream(produce, stopping=asyncio.Event())
    async with asyncio.timeout(WAIT):
        assert await anext(frames) == frame("log", 1)
        with pytest.raises(LookupError):
            await anext(frames)


async def test_when_the_client_leaves_the_producer_is_cancelled_and_has_cleaned_up():
    cleaned = False

    async def produce(outbox: Outbox) -> StreamEnd:
        nonlocal cleaned
        try:
            await outbox.send("log", 1)
            return await forever(outbox)
        finally:
            await asyncio.sleep(0)
            cleaned = True

    before = asyncio.all_tasks()
    frames = stream(produce, stopping=asyncio.Event())
    async with asyncio.timeout(WAIT):
        await anext(frames)
        await frames.aclose()
    assert cleaned
    assert asyncio.all_tasks() <= before
