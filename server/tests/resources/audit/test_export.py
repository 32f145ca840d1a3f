"""The whole log as a file: complete, in order, narrowed by the list's filters, harmless in a spreadsheet."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from litestar.exceptions import LitestarException

from cygni import AsyncCygniClient
from cygni_cli.chain import check
from cygnid.core import db, sealer
from cygnid.core.streams import MAX_STREAMS
from cygnid.resources.audit import actions, export
from tests.make.api import Api, api_of
from tests.resources.audit.test_audit import happen, listed, refused, sealing, secrets
from tests.resources.audit.test_verify import ask, chain

EXPORT = "/audit-logs/export"


async def exported(client: AsyncCygniClient, **query: Any) -> str:
    return b"".join([piece async for piece in client.read_bytes("GET", EXPORT, query=query)]).decode()


async def lines(client: AsyncCygniClient, **query: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await exported(client, **query)).splitlines()]


async def test_each_line_is_the_row_that_the_api_shows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BATCH", 2)
    owner = await api.owner()
    await happen(api.pool, None)
    await happen(api.pool, api.other_team_id)
    await chain(api, 5)
    everything = (await listed(owner, limit=100))[::-1]
    rows = await lines(owner)
    assert sorted(rows, key=lambda row: row["id"]) == sorted(everything, key=lambda row: row["id"])
    for team in (None, api.team_id):
        own = [row["seq"] for row in rows if row["teamId"] == team]
        assert own == list(range(1, len(own) + 1))
    assert api.other_team_id not in {row["teamId"] for row in rows}
    assert list(rows[0]) == list(everything[0])


async def test_filters_are_those_of_the_list(api: Api) -> None:
    await chain(api, 3)
    wanted = await happen(api.pool, api.team_id, "domain.added", result="denied")
    auditor = await api.member("auditor")
    async with sealing(api):
        for query in ({"result": "denied"}, {"action": "domain.added,env.updated"}, {"createdAt[gte]": "2020-01-01"}):
            before = [row["id"] for row in await listed(auditor, limit=100, **query)]
            found = [row["id"] for row in await lines(auditor, **query)]
            assert wanted in found
            assert sorted(found) == sorted(before)
        assert await lines(auditor, projectId="proj_none") == []


async def test_an_export_is_a_row_itself_and_says_what_was_taken(api: Api) -> None:
    auditor = await api.member("auditor")
    await chain(api, 1)
    assert "audit.exported" not in await exported(auditor, format="csv", result="success")
    await sealer.seal(api.pool)
    (row,) = await listed(auditor, action="audit.exported")
    assert row["after"] == {"format": "csv", "result": ["success"]}
    assert row["resource"] == {"type": "auditLog", "id": None, "name": None}
    assert row["teamId"] == api.team_id


async def test_no_cell_is_a_formula(api: Api) -> None:
    subject = {"name": '=HYPERLINK("http://evil.test")'}
    await happen(api.pool, api.team_id, "domain.added", subject=subject, reason="+1", after={"a": 'x,"\n'})
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    text = await exported(auditor, format="csv", action="domain.added")
    assert text.endswith("\r\n")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["resourceName"] == '\'=HYPERLINK("http://evil.test")'
    assert row["reason"] == "'+1"
    assert json.loads(row["after"]) == {"a": 'x,"\n'}
    assert (row["actorType"], row["before"], row["teamId"]) == ("system", "", api.team_id)


@pytest.mark.parametrize("start", list("=+-@\t\r"))
async def test_what_begins_a_formula_is_quoted(api: Api, start: str) -> None:
    await happen(api.pool, api.team_id, "domain.added", reason=f"{start}x")
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    text = await exported(auditor, format="csv", action="domain.added")
    assert next(csv.DictReader(io.StringIO(text, newline="")))["reason"] == f"'{start}x"


async def test_headers_name_the_file(api: Api) -> None:
    auditor = await api.member("auditor")
    await chain(api, 1)
    for form, media in (("jsonl", "application/x-ndjson"), ("csv", "text/csv")):
        answer = await auditor.request("GET", EXPORT, query={"format": form})
        assert answer.headers["content-type"].startswith(media)
        assert answer.headers["content-disposition"] == f'attachment; filename="audit-log.{form}"'
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers


async def test_who_may_not_read_may_not_export(api: Api) -> None:
    developer, outsider, auditor = await api.member("developer"), await api.outsider(), await api.member("auditor")
    assert await refused(developer, EXPORT) == (403, "insufficient_scope")
    assert await refused(outsider, EXPORT, teamId=api.team_id) == (404, "not_found")
    assert await refused(auditor, EXPORT, teamId="null") == (403, "insufficient_scope")
    assert await refused(auditor, EXPORT, format="xml") == (400, "validation_error")
    assert await refused(auditor, EXPORT, limit=5) == (400, "unknown_parameter")


async def test_readers_who_wait_or_leave_hold_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_BATCH", 1)
    async with api_of(database_url, tmp_path, pool_size=2) as api, sealing(api), asyncio.timeout(120):
        auditor = await api.member("auditor")
        await chain(api, 5)
        waiting = [auditor.read_bytes("GET", EXPORT) for _ in range(MAX_STREAMS)]
        for pieces in waiting:  # more than there are connections
            assert json.loads(await anext(pieces))["seq"] == 1
        assert await refused(auditor, EXPORT) == (429, "rate_limited")
        assert await listed(auditor)
        for pieces in waiting:
            assert isinstance(pieces, AsyncGenerator)
            await pieces.aclose()
        assert await lines(auditor)


async def test_it_breaks_off_when_the_permission_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BATCH", 1)
    auditor = await api.member("auditor")
    await chain(api, 200)
    pieces = auditor.read_bytes("GET", EXPORT)
    await anext(pieces)
    async with db.begin(api.pool) as tx:
        await tx.execute("UPDATE tokens SET revoked_at = now()")
        await tx.execute("SELECT pg_notify('cygni', 'token.revoked')")

    async def to_the_end() -> None:
        async with asyncio.timeout(60):
            async for _ in pieces:
                pass

    with pytest.raises(LitestarException, match="after response started"):  # upon which a server cuts the line
        await to_the_end()


async def test_rows_that_come_meanwhile_are_not_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_BATCH", 1)
    head = await chain(api, 3)
    auditor = await api.member("auditor")
    await sealer.seal(api.pool)
    head = await ask(api, "SELECT seq FROM change_chains WHERE team_id = $1", api.team_id)
    seen: list[int] = []
    async for piece in auditor.read_bytes("GET", EXPORT):
        seen.append(json.loads(piece)["seq"])
        await happen(api.pool, api.team_id)
        await sealer.seal(api.pool)
    assert seen == list(range(1, head + 1))


async def test_the_command_line_checks_it_without_the_installation(api: Api) -> None:
    owner = await api.owner()
    await happen(api.pool, None, after={"big": 2**60, "text": "é\u2028", "list": [0.1, {"z": None}]})
    head = await chain(api, 5)
    await actions.sign_heads(api.pool, secrets(api))
    marks = (await owner.request("GET", "/audit-logs/checkpoints")).data
    await chain(api, 2)
    text = (await exported(owner)).encode()
    report = check(text.splitlines(keepends=True), marks, public_key=marks[0]["publicKey"])
    assert report.problems == []
    assert report.chains[api.team_id].signed_to == head
    assert set(report.chains) == {None, api.team_id}
    at = text.index(b'"ab"')
    assert check((text[:at] + b'"ac"' + text[at + 4 :]).splitlines(), marks).problems
