"""A chain computed again: whoever altered, removed or added a row is found out."""

import asyncio
from typing import Any

import msgspec
import pytest

from cygni import CygniError
from cygnid.core import db, sealer
from cygnid.resources.audit import verification
from cygnid.resources.audit.schemas import AuditVerification
from tests.make.api import Api
from tests.make.people import make_user
from tests.resources.audit.test_audit import PATH, happen, refused, sealing, secrets


async def chain(api: Api, rows: int = 6) -> int:
    """The head's number in the first team's chain, at least `rows`."""
    for number in range(rows):
        await happen(api.pool, api.team_id, before={"n": number}, after={"n": "ab"}, reason="because")
    await sealer.seal(api.pool)
    return await ask(api, "SELECT max(seq) FROM changes WHERE team_id = $1", api.team_id)


async def ask(api: Api, sql: str, *arguments: Any) -> Any:
    async with db.read(api.pool) as read:
        return await read.value(sql, *arguments)


async def alter(api: Api, sql: str, *arguments: Any) -> None:
    async with db.begin(api.pool) as tx:
        assert await tx.execute(sql, *arguments)


async def verified(api: Api, **query: Any) -> dict[str, Any]:
    owner = await api.owner()
    await sealer.seal(api.pool)
    return (await owner.request("GET", f"{PATH}/verify", query=query)).data


async def test_an_untouched_chain_is_valid(api: Api) -> None:
    await chain(api)
    found = await verified(api)
    head = await ask(api, "SELECT max(seq) FROM changes WHERE team_id = $1", api.team_id)
    assert found == {
        "valid": True,
        "checkedRows": head,
        "firstBadSeq": None,
        "headSeq": head,
        "headHash": await ask(api, "SELECT hash FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, head),
    }


@pytest.mark.parametrize(
    "change",
    [
        "actor_name = 'nobody'",
        "reason = 'becausf'",
        'after = \'{"n":"ac"}\'',
        "after = '{'",
        "created_at = created_at + interval '1 millisecond'",
        "hash = repeat('0', 64)",
        "prev_hash = repeat('0', 64)",
        "result = 'denied'",
        "id = id || 'x'",
    ],
)
async def test_one_altered_value_is_found(api: Api, change: str) -> None:
    bad = await chain(api) - 2
    await alter(api, f"UPDATE changes SET {change} WHERE team_id = $1 AND seq = $2", api.team_id, bad)
    found = await verified(api)
    assert (found["valid"], found["firstBadSeq"], found["checkedRows"]) == (False, bad, bad)
    assert (await verified(api, toSeq=bad - 1))["valid"]


async def test_a_row_altered_together_with_its_hash_breaks_the_next(api: Api) -> None:
    bad = await chain(api) - 2
    async with db.read(api.pool) as read:
        row = await read.one(
            sealer.Change,
            f"SELECT {sealer.COLUMNS} FROM changes WHERE team_id = $1 AND seq = $2",
            api.team_id,
            bad,
        )
    assert row is not None
    forged = msgspec.structs.replace(row, actor_name="nobody")
    forged = msgspec.structs.replace(forged, hash=sealer.row_hash(forged))
    await alter(
        api,
        "UPDATE changes SET actor_name = 'nobody', hash = $3, stored_hash = $4 WHERE team_id = $1 AND seq = $2",
        api.team_id,
        bad,
        forged.hash,
        sealer.stored_hash(forged),
    )
    assert (await verified(api))["firstBadSeq"] == bad + 1


async def test_a_row_that_is_missing_is_found(api: Api) -> None:
    bad = await chain(api) - 2
    await alter(api, "DELETE FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, bad)
    found = await verified(api)
    assert (found["valid"], found["firstBadSeq"]) == (False, bad)
    assert (await verified(api, fromSeq=bad + 1))["firstBadSeq"] == bad + 1


async def test_a_cut_end_is_found(api: Api) -> None:
    head = await chain(api)
    await alter(api, "DELETE FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, head)
    found = await verification.verify(api.pool, secrets(api), api.team_id)
    assert (found.valid, found.first_bad_seq, found.head_seq) == (False, head, head)


async def test_a_part_is_checked_alone(api: Api) -> None:
    head = await chain(api)
    await alter(api, "UPDATE changes SET reason = 'x' WHERE team_id = $1 AND seq = 1", api.team_id)
    found = await verified(api, fromSeq=2, toSeq=head - 1)
    assert (found["valid"], found["checkedRows"]) == (True, head - 2)
    assert (await verified(api, fromSeq=1, toSeq=1))["firstBadSeq"] == 1
    beyond = await verified(api, fromSeq=10**6)
    assert (beyond["valid"], beyond["checkedRows"]) == (True, 0)


@pytest.mark.parametrize("query", [{"fromSeq": 3, "toSeq": 2}, {"fromSeq": 0}, {"toSeq": "x"}, {"toSeq": 2**70}])
async def test_a_range_that_is_none_is_refused(api: Api, query: dict[str, Any]) -> None:
    assert await refused(await api.member("auditor"), f"{PATH}/verify", **query) == (400, "validation_error")


async def test_rows_are_read_in_batches(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    head = await chain(api, 7)
    monkeypatch.setattr(verification, "_BATCH", 3)
    found = await verification.verify(api.pool, secrets(api), api.team_id)
    assert (found.valid, found.checked_rows) == (True, head)
    await alter(api, "UPDATE changes SET reason = 'x' WHERE team_id = $1 AND seq = 4", api.team_id)
    found = await verification.verify(api.pool, secrets(api), api.team_id)
    assert (found.first_bad_seq, found.checked_rows) == (4, 4)


async def test_the_installation_has_a_chain_of_its_own(api: Api) -> None:
    owner = await api.owner()
    async with sealing(api):
        await happen(api.pool, None)
        found = (await owner.request("GET", f"{PATH}/verify", query={"teamId": "null"})).data
    assert found["valid"]
    assert found["headSeq"] == await ask(api, "SELECT count(*) FROM changes WHERE team_id IS NULL")
    assert await refused(await api.outsider(), f"{PATH}/verify", teamId="null") == (403, "insufficient_scope")
    assert await refused(await api.outsider(), f"{PATH}/verify", teamId=api.team_id) == (404, "not_found")


async def test_who_is_in_several_teams_names_one(api: Api) -> None:
    async with db.begin(api.pool) as tx:
        both = await make_user(tx, "both", **{api.team_id: "auditor", api.other_team_id: "auditor"})
    client = api.client(await api.token(both))
    with pytest.raises(CygniError) as caught:
        await client.request("GET", f"{PATH}/verify")
    assert caught.value.status == 400
    assert caught.value.details["allowed"] == sorted([api.team_id, api.other_team_id])
    await sealer.seal(api.pool)
    answer = await client.request("GET", f"{PATH}/verify", query={"teamId": api.other_team_id})
    assert answer.data["valid"]


async def test_one_altered_byte_in_any_column_is_found(api: Api) -> None:
    """Of every column that the table has, also one that is added later."""
    await happen(
        api.pool,
        api.team_id,
        subject={"environment": "production"},
        before={"n": 1e21},
        after={"n": "ab\x1f"},
        data={"n": [1]},
        reason="because",
        request_id="req_1",
    )
    head = await chain(api, 2)
    # a row with something in every column, sealed anew
    filled = "actor_id = 'user_1', actor_ip = '192.0.2.1', actor_token_id = 'tok_1'"
    await alter(api, f"UPDATE changes SET {filled} WHERE request_id = 'req_1'")
    await alter(api, "UPDATE changes SET position = NULL, seq = NULL")
    await alter(api, "DELETE FROM change_chains")
    await alter(api, "UPDATE change_position SET value = 0")
    await sealer.seal(api.pool)
    bad = head - 2
    async with db.read(api.pool) as read:
        columns = await read.all(
            _Column,
            """SELECT column_name AS name, data_type AS kind FROM information_schema.columns
               WHERE table_name = 'changes' AND table_schema = 'public'""",
        )
    assert len(columns) > 20
    assert (await actions_verify(api)).valid
    for column in columns:
        for change in changed(column):
            old = await ask(api, f"SELECT {column.name} FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, bad)
            assert old is not None, column.name
            number = await ask(api, "SELECT number FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, bad)
            await alter(api, f"UPDATE changes SET {column.name} = {change} WHERE number = $1", number)
            assert await ask(api, "SELECT count(*) FROM changes WHERE number = $1", number) == (column.name != "number")
            assert (await actions_verify(api)).first_bad_seq == bad, (column.name, change)
            where = f"number = {number} + {FAR}" if column.name == "number" else f"number = {number}"
            await alter(api, f"UPDATE changes SET {column.name} = $1 WHERE {where}", old)
            assert (await actions_verify(api)).valid


FAR = 1 << 20


class _Column(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str


def changed(column: _Column) -> list[str]:
    """SQL for values of which one byte, or one bit, is another: of a text the first, the middle and the last."""
    name = column.name
    if name == "result":
        return ["'denied'"]  # the only texts of this column
    if column.kind == "text":
        return [
            f"overlay({name} placing '~' from {place})" for place in ("1", f"length({name}) / 2 + 1", f"length({name})")
        ]
    return [f"{name} + interval '1 microsecond'"] if "time" in column.kind else [f"{name} + {FAR}"]


async def actions_verify(api: Api) -> AuditVerification:
    return await verification.verify(api.pool, secrets(api), api.team_id)


@pytest.mark.parametrize("change", ["hash = overlay(hash placing '~' from 7)", "seq = seq + 1", "seq = seq - 1"])
async def test_an_altered_head_is_found(api: Api, change: str) -> None:
    await chain(api)
    await alter(api, f"UPDATE change_chains SET {change} WHERE team_id = $1", api.team_id)
    assert not (await actions_verify(api)).valid


async def test_many_writers_make_chains_without_gaps(api: Api) -> None:
    async def write(team_id: str | None) -> None:
        for _ in range(10):
            await happen(api.pool, team_id)
            await sealer.seal(api.pool, batch=3)

    teams = (api.team_id, api.other_team_id, None)
    await asyncio.gather(*(write(team) for team in teams * 2))
    await sealer.seal(api.pool)
    for team in teams:
        found = await verification.verify(api.pool, secrets(api), team)
        assert (found.valid, found.checked_rows) == (True, found.head_seq)
        assert found.head_seq == await ask(
            api, "SELECT count(*) FROM changes WHERE team_id IS NOT DISTINCT FROM $1", team
        )
        assert found.head_seq >= 20


async def test_an_empty_chain_begins_with_zeros(api: Api) -> None:
    found = await verification.verify(api.pool, secrets(api), "team_of_nobody")
    assert (found.valid, found.checked_rows, found.head_seq, found.head_hash) == (True, 0, 0, "0" * 64)
