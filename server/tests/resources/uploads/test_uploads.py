"""Uploads through the API: announced, sent in parts, complete, and only for who made them."""

import asyncio
import os
from hashlib import sha256
from typing import Any

import pytest

from cygni import AsyncCygniClient
from cygnid.core import db
from cygnid.core.actors import Actor
from cygnid.resources.uploads import actions, queries
from cygnid.resources.uploads.schemas import UploadExpired
from tests.make.api import Api, api_of
from tests.make.calls import refused

GZIP = "application/gzip"


async def announce(client: AsyncCygniClient, content: bytes, **fields: Any) -> dict[str, Any]:
    body = {"sizeBytes": len(content), "sha256": sha256(content).hexdigest(), "contentType": GZIP, **fields}
    return (await client.request("POST", "/uploads", json=body)).data


async def put(
    client: AsyncCygniClient, upload: dict[str, Any], content: bytes, start: int | None = None, **headers: str
) -> dict[str, Any]:
    """From `start` on by Content-Range, or all at once."""
    if start is not None:
        headers["Content-Range"] = f"bytes {start}-{start + len(content) - 1}/{upload['sizeBytes']}"
    path = f"/uploads/{upload['id']}/content"
    return (await client.request("PUT", path, content=content, headers={"Content-Type": GZIP, **headers})).data


async def state(client: AsyncCygniClient, upload: dict[str, Any]) -> tuple[str, int]:
    found = (await client.request("GET", f"/uploads/{upload['id']}")).data
    return found["status"], found["receivedBytes"]


def stored(api: Api, upload: dict[str, Any]) -> bytes:
    return queries.path(api.settings, upload["id"]).read_bytes()


async def test_all_at_once(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(3_000_000)
    answer = await owner.request(
        "POST", "/uploads",
        json={"sizeBytes": len(content), "sha256": sha256(content).hexdigest(), "contentType": GZIP},
    )  # fmt: skip
    made = answer.data
    assert (answer.status, answer.headers["location"]) == (201, f"/v1/uploads/{made['id']}")
    assert made["teamId"] is None
    assert (made["status"], made["receivedBytes"], made["createdBy"]) == ("pending", 0, api.owner_id)
    done = await put(owner, made, content)
    assert (done["status"], done["receivedBytes"]) == ("complete", len(content))
    assert stored(api, made) == content
    assert (await owner.request("GET", f"/uploads/{made['id']}")).data == done
    async with db.read(api.pool) as read:
        assert await queries.complete_upload(read, made["id"]) is not None
        row = await read.value(
            "SELECT jsonb_build_array(team_id, actor_id, resource_id) FROM changes WHERE type = 'upload.completed'"
        )
    assert row == [api.team_id, api.owner_id, made["id"]]


async def test_in_parts_and_nothing_twice(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(2_500_000)
    made = await announce(owner, content)
    first = await put(owner, made, content[:1_000_001], 0)
    assert (first["status"], first["receivedBytes"]) == ("receiving", 1_000_001)
    for start in (0, 1_000_000, 1_000_002):
        error = await refused(put(owner, made, content[start : start + 10], start))
        assert (error.status, error.code, error.details) == (409, "invalid_state", {"receivedBytes": 1_000_001})
    assert await state(owner, made) == ("receiving", 1_000_001)
    done = await put(owner, made, content[1_000_001:], 1_000_001)
    assert done["status"] == "complete"
    assert stored(api, made) == content
    # who did not hear the answer sends again what it sent last, or all of it
    assert await put(owner, made, content[1_000_001:], 1_000_001) == done
    assert await put(owner, made, content) == done
    error = await refused(put(owner, made, content[:-1] + b"?"))
    assert (error.status, error.code) == (409, "invalid_state")
    assert stored(api, made) == content


async def test_another_process_goes_on(api: Api, database_url: str) -> None:
    """It knows nothing of how far the hash was, and does not trust bytes that nobody acknowledged."""
    owner, content = await api.owner(), os.urandom(500_000)
    made = await announce(owner, content)
    await put(owner, made, content[:200_000], 0)
    from cygnid.resources.uploads import receive

    receive._hashers._found.clear()
    with queries.path(api.settings, made["id"]).open("ab") as file:
        file.write(b"written, but its row was not")
    done = await put(owner, made, content[200_000:], 200_000)
    assert done["status"] == "complete"
    assert stored(api, made) == content


async def test_bytes_that_the_disk_lost_are_asked_for_again(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(1000)
    made = await announce(owner, content)
    await put(owner, made, content[:600], 0)
    os.truncate(queries.path(api.settings, made["id"]), 100)
    error = await refused(put(owner, made, content[600:], 600))
    assert error.details == {"receivedBytes": 0}
    assert (await put(owner, made, content, 0))["status"] == "complete"


async def test_without_a_range_it_begins_anew(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(1000)
    made = await announce(owner, content)
    await put(owner, made, b"other bytes", 0)
    assert (await put(owner, made, content))["status"] == "complete"
    assert stored(api, made) == content


async def test_a_wrong_hash_empties_it(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(1000)
    made = await announce(owner, content)
    await put(owner, made, content[:500], 0)
    error = await refused(put(owner, made, bytes(500), 500))
    assert (error.status, error.code, error.details["field"]) == (400, "validation_error", "sha256")
    assert await state(owner, made) == ("pending", 0)
    assert stored(api, made) == b""
    assert (await put(owner, made, content))["status"] == "complete"


@pytest.mark.parametrize(("content", "headers", "status", "field"), [
    (b"12345", {"Content-Range": "bytes 0-3/10"}, 400, "sizeBytes"),
    (b"12345", {"Content-Range": "bytes 0-4/11"}, 400, "sizeBytes"),
    (b"12345", {"Content-Range": "bytes 4-0/10"}, 400, "Content-Range"),
    (b"12345", {"Content-Range": "bytes 0-10/10"}, 400, "Content-Range"),
    (b"12345", {"Content-Range": "bytes -4/10"}, 400, "Content-Range"),
    (b"12345", {"Content-Range": "bytes 0-4/*"}, 400, "Content-Range"),
    (b"12345", {"Content-Range": "lines 0-4/10"}, 400, "Content-Range"),
    (b"12345", {"Content-Range": "bytes 0-99999999999999999999/10"}, 400, "Content-Range"),
    (b"12345", {}, 400, "sizeBytes"),
    (b"1" * 11, {}, 400, "sizeBytes"),
    (b"", {}, 400, "sizeBytes"),
    (b"1" * 10, {"Content-Type": "application/zstd"}, 415, None),
    (b"1" * 10, {"Content-Type": "text/plain"}, 415, None),
])  # fmt: skip
async def test_what_was_not_announced_is_refused(
    api: Api, content: bytes, headers: dict[str, str], status: int, field: str | None
) -> None:
    owner = await api.owner()
    made = await announce(owner, b"0123456789")
    error = await refused(put(owner, made, content, **headers))
    assert (error.status, error.details.get("field")) == (status, field)
    assert await state(owner, made) == ("pending", 0)


@pytest.mark.parametrize(("fields", "status", "field"), [
    ({"sizeBytes": 0}, 400, "sizeBytes"),
    ({"sizeBytes": -1}, 400, "sizeBytes"),
    ({"sizeBytes": "1"}, 400, "sizeBytes"),
    ({"sizeBytes": 2**63}, 413, None),
    ({"sizeBytes": (512 << 20) + 1}, 413, None),
    ({"sha256": "0" * 63}, 400, "sha256"),
    ({"sha256": "A" * 64}, 400, "sha256"),
    ({"sha256": "0" * 64 + "\n"}, 400, "sha256"),
    ({"contentType": "application/x-tar"}, 400, "contentType"),
    ({"path": "/etc/passwd"}, 400, "path"),
])  # fmt: skip
async def test_what_cannot_be_announced(api: Api, fields: dict[str, Any], status: int, field: str | None) -> None:
    error = await refused(announce(await api.owner(), b"1", **fields))
    assert (error.status, error.details.get("field")) == (status, field)


async def test_it_is_its_makers_alone(api: Api) -> None:
    owner = await api.owner()
    made = await announce(owner, b"0123456789")
    team_token, colleague = api.client(await api.token()), await api.member("admin")
    for other in (await api.outsider(), colleague, team_token):
        for asked in (state(other, made), put(other, made, b"0123456789")):
            assert (await refused(asked)).status == 404
    for unknown in ("upl_nothing", "..%2f..%2fetc%2fpasswd", "upl_" + "0" * 26):
        assert (await refused(state(owner, {"id": unknown}))).status == 404
    again = api.client(await api.token(api.owner_id))
    assert await state(again, made) == ("pending", 0), "another token of the same user"
    of_team = await announce(team_token, b"0123456789")
    assert (await put(team_token, of_team, b"0123456789"))["status"] == "complete"
    assert (await refused(state(owner, of_team))).status == 404


async def test_who_may_not_deploy_may_not_upload(api: Api) -> None:
    for client in (await api.member("viewer"), await api.member("developer", ["projects:read"])):
        error = await refused(announce(client, b"1"))
        assert (error.status, error.code) == (403, "insufficient_scope")
        assert error.details["requiredScopes"] == ["deployments:write"]
    owner = await api.owner()
    made = await announce(owner, b"1")
    narrow = api.client(await api.token(api.owner_id, ["projects:read"]))
    for asked in (state(narrow, made), put(narrow, made, b"1")):
        assert (await refused(asked)).status == 403


async def test_two_that_send_at_once_do_not_mix(api: Api) -> None:
    owner, content = await api.owner(), os.urandom(4_000_000)
    made = await announce(owner, content)
    answers = await asyncio.gather(*(put(owner, made, content, 0) for _ in range(5)), return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refusals) < 5
    for error in refusals:
        assert (error.status, error.code) == (409, "invalid_state"), error  # type: ignore[attr-defined]
        assert "receivedBytes" in error.details  # type: ignore[attr-defined]
    assert (await state(owner, made))[0] == "complete"
    assert stored(api, made) == content


async def test_so_many_bytes_may_wait(database_url: str, tmp_path: Any) -> None:
    async with api_of(database_url, tmp_path, max_upload_bytes=10) as api:
        owner = await api.owner()
        made = [await announce(owner, b"0123456789") for _ in range(actions.MAX_OPEN)]
        error = await refused(announce(owner, b"0"))
        assert (error.status, error.code, error.details["limit"]) == (403, "quota_exceeded", 80)
        await put(owner, made[0], b"0123456789")
        async with db.begin(api.pool) as tx:
            await actions.use(tx, made[0]["id"])
        await announce(owner, b"0")


async def test_it_is_used_only_when_complete(api: Api) -> None:
    owner = await api.owner()
    made = await announce(owner, b"0123456789")
    async with db.begin(api.pool) as tx:
        assert await queries.complete_upload(tx, made["id"]) is None
        with pytest.raises(UploadExpired):
            await actions.use(tx, made["id"])
        mine = Actor(type="user", id=api.owner_id, name="")
        assert await queries.usable(tx, mine, made["id"]) is not None
        assert await queries.usable(tx, Actor(type="user", id=api.outsider_id, name=""), made["id"]) is None


async def test_the_sdk_uploads_a_folder(api: Api, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cygni._runtime import uploads

    monkeypatch.setattr(uploads, "PART_BYTES", 50_000)
    source = tmp_path / "source"
    source.mkdir()
    (source / "noise").write_bytes(os.urandom(200_000))
    told: list[tuple[int, int]] = []
    owner = await api.owner()
    upload = (await owner.uploads.from_directory(source, on_progress=lambda *now: told.append(now))).to_dict()
    assert upload["status"] == "complete"
    assert len(told) >= 5, "in parts"
    assert sha256(stored(api, upload)).hexdigest() == upload["sha256"]
