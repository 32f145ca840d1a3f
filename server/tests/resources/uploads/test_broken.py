"""Uploads that break off, that fill the disk, that nobody uses."""

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cygni import AsyncCygniClient
from cygnid.core import clock, db
from cygnid.core.errors import Unavailable, ValidationError
from cygnid.core.http import Body, ClientGone
from cygnid.resources.uploads import actions, queries, receive
from cygnid.resources.uploads.access import UploadAccess
from cygnid.resources.uploads.queries import UploadRow
from cygnid.resources.uploads.schemas import NotTheNextBytes, UploadExpired
from cygnid.resources.uploads.tasks import expire_uploads
from tests.make.api import Api
from tests.make.calls import refused
from tests.make.people import acting
from tests.make.stage import Unused

GZIP = "application/gzip"
LIMIT = 60


async def announce(client: AsyncCygniClient, content: bytes) -> str:
    body = {"sizeBytes": len(content), "sha256": sha256(content).hexdigest(), "contentType": GZIP}
    return (await client.request("POST", "/uploads", json=body)).data["id"]


async def row_of(api: Api, upload_id: str) -> UploadRow:
    async with db.read(api.pool) as read:
        row = await queries.upload(read, upload_id)
    assert row is not None
    return row


async def send(api: Api, upload_id: str, chunks: AsyncIterator[bytes], start: int = 0, size: int = 0) -> UploadRow:
    """What the endpoint does, with a body that the test makes. `size`: of this part; 0: up to the end."""
    upload = await row_of(api, upload_id)
    end = start + size if size else upload.size_bytes
    body = Body(
        chunks=chunks,
        content_type=GZIP,
        content_range=f"bytes {start}-{end - 1}/{upload.size_bytes}",
        content_length=None,
    )
    access = UploadAccess(actor=acting(api.owner_id), team_id=api.team_id, upload=upload)
    return await receive.receive(api.pool, api.settings, access, body)


async def of(*parts: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


async def stalled(started: asyncio.Event, *parts: bytes) -> AsyncIterator[bytes]:
    """A sender that falls silent."""
    for part in parts:
        yield part
    started.set()
    await asyncio.Event().wait()


async def test_who_leaves_finds_what_arrived(api: Api) -> None:
    content = os.urandom(3_000_000)
    upload_id = await announce(await api.owner(), content)
    with pytest.raises(ClientGone):
        await send(api, upload_id, of(content[:1_500_000], content[1_500_000:2_000_001], then=ClientGone()))
    row = await row_of(api, upload_id)
    assert (row.status, row.received_bytes) == ("receiving", 2_000_001)
    with pytest.raises(ClientGone):
        await send(api, upload_id, of(then=ClientGone()), 2_000_001)
    assert await row_of(api, upload_id) == row
    assert (await send(api, upload_id, of(content[2_000_001:]), 2_000_001)).status == "complete"
    assert queries.path(api.settings, upload_id).read_bytes() == content


async def test_who_leaves_at_the_very_end_has_uploaded(api: Api) -> None:
    upload_id = await announce(await api.owner(), b"0123456789")
    with pytest.raises(ClientGone):
        await send(api, upload_id, of(b"0123456789", then=ClientGone()))
    assert (await row_of(api, upload_id)).status == "complete"


async def test_more_bytes_than_said_are_refused_and_not_kept(api: Api) -> None:
    upload_id = await announce(await api.owner(), b"0123456789")
    await send(api, upload_id, of(b"0123"), size=4)
    for parts in ((b"4567890",), (b"456", b"789", b"0")):
        error = await invalid(send(api, upload_id, of(*parts), 4))
        assert error.details["field"] == "sizeBytes"
    error = await invalid(send(api, upload_id, of(b"4567"), 4, size=3))
    assert error.details["field"] == "sizeBytes"
    assert (await row_of(api, upload_id)).received_bytes == 4
    assert queries.path(api.settings, upload_id).read_bytes() == b"0123"
    assert (await send(api, upload_id, of(b"456789"), 4)).status == "complete"


async def invalid(asked: Any) -> Any:
    with pytest.raises(ValidationError) as error:
        await asked
    return error.value


async def test_of_two_senders_the_second_is_refused(api: Api) -> None:
    content = b"0123456789"
    upload_id, started = await announce(await api.owner(), content), asyncio.Event()
    first = asyncio.create_task(send(api, upload_id, stalled(started, b"01234")))
    async with asyncio.timeout(LIMIT):
        await started.wait()
    with pytest.raises(NotTheNextBytes) as error:
        await send(api, upload_id, of(content))
    assert error.value.details == {"receivedBytes": 0}
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await row_of(api, upload_id)).received_bytes == 0, "nobody was told of them"
    assert (await send(api, upload_id, of(content))).status == "complete"


async def test_who_falls_silent_is_not_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "SILENCE_SECONDS", 0.05)
    upload_id = await announce(await api.owner(), b"0123456789")
    with pytest.raises(Unavailable):
        await send(api, upload_id, stalled(asyncio.Event(), b"01234"))
    assert (await row_of(api, upload_id)).received_bytes == 5
    assert (await send(api, upload_id, of(b"56789"), 5)).status == "complete"


async def test_no_connection_is_held_while_bytes_are_waited_for(api: Api) -> None:
    owner = await api.owner()
    started = [asyncio.Event() for _ in range(12)]
    senders = [
        asyncio.create_task(send(api, await announce(owner, b"0123456789"), stalled(event, b"01"))) for event in started
    ]
    async with asyncio.timeout(LIMIT):
        for event in started:
            await event.wait()
        async with db.read(api.pool) as read:
            assert await read.value("SELECT 1") == 1
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)


@pytest.fixture
def small_disk(api: Api) -> Iterator[Path]:
    """The folder of uploads has room for 64 KiB."""
    if os.getuid() != 0:
        pytest.skip("only root can make a file system that is small")
    libc = ctypes.CDLL(None, use_errno=True)
    folder = api.settings.uploads_folder
    folder.mkdir()
    if libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip(f"no file system can be made here: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        assert libc.umount2(bytes(folder), 2) == 0


async def test_a_full_disk_acknowledges_nothing(api: Api, small_disk: Path) -> None:
    owner, content = await api.owner(), os.urandom(200_000)
    upload_id = await announce(owner, content)
    await send(api, upload_id, of(content[:10_000]), size=10_000)
    asked = owner.request(
        "PUT",
        f"/uploads/{upload_id}/content",
        content=content[10_000:],
        headers={"Content-Type": GZIP, "Content-Range": "bytes 10000-199999/200000"},
    )
    error = await refused(asked)
    assert (error.status, error.code) == (503, "unavailable")
    assert "disk is full" in str(error)
    assert error.hint
    assert (await row_of(api, upload_id)).received_bytes == 10_000
    assert (small_disk / upload_id).stat().st_size == 10_000, "others get the room"
    with pytest.raises(ClientGone):
        await send(api, upload_id, of(content[10_000:20_000], then=ClientGone()), 10_000)
    assert (await row_of(api, upload_id)).received_bytes == 20_000


@pytest.fixture
def later() -> Iterator[Any]:
    """The clock goes on by so much when this is called."""

    def jump(by: timedelta) -> None:
        now = clock.now() + by
        clock.set_clock(lambda: now)

    yield jump
    clock.set_clock(None)


class Backends:
    def __init__(self, api: Api) -> None:
        self.settings, self.pool = api.settings, api.pool
        self.source = self.builder = self.runtime = self.edge = Unused()


async def test_what_nobody_uses_goes_after_a_day(api: Api, later: Any) -> None:
    owner, content = await api.owner(), b"0123456789"
    used, unused, begun, never = [await announce(owner, content) for _ in range(4)]
    for upload_id in (used, unused):
        await send(api, upload_id, of(content))
    await send(api, begun, of(b"01"), size=2)
    async with db.begin(api.pool) as tx:
        await actions.use(tx, used)
    folder = api.settings.uploads_folder
    (folder / "upl_without_a_row").write_bytes(b"x")
    await expire_uploads(Backends(api))
    assert {file.name for file in folder.iterdir()} == {used, unused, begun}
    later(actions.LIFETIME)
    shown = [(await row_of(api, upload_id)).is_over() for upload_id in (used, unused, begun, never)]
    assert shown == [False, True, True, True]
    async with db.begin(api.pool) as tx:
        await actions.use(tx, used)
        with pytest.raises(UploadExpired):
            await actions.use(tx, unused)
    with pytest.raises(UploadExpired):
        await send(api, begun, of(b"23456789"), 2)
    await expire_uploads(Backends(api))
    assert {file.name for file in folder.iterdir()} == {used}
    statuses = [(await row_of(api, upload_id)).status for upload_id in (used, unused, begun, never)]
    assert statuses == ["complete", "expired", "expired", "expired"]
    for upload_id in (unused, begun):
        with pytest.raises(UploadExpired):
            await send(api, upload_id, of(content))
    later(timedelta(days=7))
    await expire_uploads(Backends(api))
    async with db.read(api.pool) as read:
        assert [await queries.upload(read, upload_id) is not None for upload_id in (used, unused)] == [True, False]
    assert {file.name for file in folder.iterdir()} == {used}


async def test_what_expires_while_it_arrives_is_not_acknowledged(api: Api, later: Any) -> None:
    upload_id, begun = await announce(await api.owner(), b"0123456789"), asyncio.Event()
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"01234"
        begun.set()
        await go_on.wait()
        yield b"56789"

    sending = asyncio.create_task(send(api, upload_id, slow()))
    async with asyncio.timeout(LIMIT):
        await begun.wait()
    later(actions.LIFETIME)
    await expire_uploads(Backends(api))
    go_on.set()
    with pytest.raises(UploadExpired):
        await sending
    assert (await row_of(api, upload_id)).status == "expired"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(content=st.binary(min_size=1, max_size=300), cuts=st.lists(st.integers(0, 300)), left=st.sets(st.integers(0, 9)))
async def test_however_it_arrives_it_is_the_same(api: Api, content: bytes, cuts: list[int], left: set[int]) -> None:
    """Cut anywhere, with the client leaving after some of the parts, and the process having forgotten after others."""
    async with db.begin(api.pool) as tx:
        access = UploadAccess(actor=acting(api.owner_id), team_id=api.team_id, upload=None)  # type: ignore[arg-type]
        row = await actions.create(
            tx, api.settings, access, size_bytes=len(content), sha256=sha256(content).hexdigest(), content_type=GZIP
        )
    marks = sorted({0, len(content), *(cut % len(content) for cut in cuts)})
    for number, (start, end) in enumerate(pairwise(marks)):
        if number in left:
            with pytest.raises(ClientGone):
                await send(api, row.id, of(content[start:end], then=ClientGone()), start)
        else:
            await send(api, row.id, of(content[start:end]), start, end - start)
        if number % 2:
            receive._hashers._found.clear()
    assert (await row_of(api, row.id)).status == "complete"
    assert queries.path(api.settings, row.id).read_bytes() == content
