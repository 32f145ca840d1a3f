"""Signed heads: whoever computes a whole chain anew contradicts them, and a database alone can sign none."""

from base64 import b64decode
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cygnid.core import db, sealer
from cygnid.core.secrets import Secrets
from cygnid.resources.audit import actions, signing, verification
from tests.make.api import Api
from tests.resources.audit.test_audit import PATH, happen, refused, secrets
from tests.resources.audit.test_verify import alter, ask, chain, verified

CHECKPOINTS = f"{PATH}/checkpoints"


async def sign(api: Api) -> None:
    await actions.sign_heads(api.pool, secrets(api))


async def listed(api: Api, **query: Any) -> list[dict[str, Any]]:
    return (await (await api.owner()).request("GET", CHECKPOINTS, query=query)).data


async def forge(api: Api, seq: int) -> None:
    """Alter one row and compute the rest of the chain and its head anew, as whoever may write to the database can."""
    await alter(api, "UPDATE changes SET actor_name = 'nobody' WHERE team_id = $1 AND seq = $2", api.team_id, seq)
    async with db.begin(api.pool) as tx:
        rows = await tx.all(
            sealer.Change,
            f"SELECT {sealer.COLUMNS} FROM changes WHERE team_id = $1 AND seq >= $2 ORDER BY seq",
            api.team_id,
            seq,
        )
        previous = rows[0].prev_hash
        for row in rows:
            linked = msgspec.structs.replace(row, prev_hash=previous)
            linked = msgspec.structs.replace(linked, hash=sealer.row_hash(linked))
            await tx.execute(
                "UPDATE changes SET prev_hash = $2, hash = $3, stored_hash = $4 WHERE number = $1",
                row.number,
                linked.prev_hash,
                linked.hash,
                sealer.stored_hash(linked),
            )
            previous = linked.hash
        await tx.execute("UPDATE change_chains SET hash = $2 WHERE team_id = $1", api.team_id, previous)


async def test_a_head_is_signed_so_that_anybody_can_check_it(api: Api) -> None:
    head = await chain(api)
    await sign(api)
    (mark,) = await listed(api, teamId=api.team_id)
    assert mark["id"].startswith("chk_")
    assert (mark["teamId"], mark["seq"]) == (api.team_id, head)
    assert mark["hash"] == await ask(api, "SELECT hash FROM change_chains WHERE team_id = $1", api.team_id)
    key = Ed25519PublicKey.from_public_bytes(b64decode(mark["publicKey"]))
    key.verify(b64decode(mark["signature"]), f"{api.team_id}\n{head}\n{mark['hash']}".encode())  # raises if it is not
    assert (await verified(api))["valid"]


async def test_the_installations_chain_is_called_null(api: Api) -> None:
    await happen(api.pool, None)
    await sealer.seal(api.pool)
    await sign(api)
    (mark,) = await listed(api, teamId="null")
    key = Ed25519PublicKey.from_public_bytes(b64decode(mark["publicKey"]))
    key.verify(b64decode(mark["signature"]), f"null\n{mark['seq']}\n{mark['hash']}".encode())


async def test_one_is_made_when_the_chain_grew_much_or_an_hour_passed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await chain(api)
    await sign(api)
    await chain(api, 2)
    await sign(api)
    assert [mark["seq"] for mark in await listed(api, teamId=api.team_id)] == [first]
    monkeypatch.setattr(actions, "CHECKPOINT_ROWS", 2)
    await sign(api)
    monkeypatch.setattr(actions, "CHECKPOINT_ROWS", 1000)
    last = await chain(api, 1)
    now = actions.clock.now()
    monkeypatch.setattr(actions.clock, "now", lambda: now + timedelta(minutes=61))
    await sign(api)
    await sign(api)  # nothing new
    assert [mark["seq"] for mark in await listed(api, teamId=api.team_id)] == [last, first + 2, first]
    assert len({mark["keyId"] for mark in await listed(api)}) == 1


async def test_a_chain_computed_anew_contradicts_its_checkpoint(api: Api) -> None:
    signed = await chain(api)
    await sign(api)
    await chain(api, 3)
    await forge(api, signed - 2)
    found = await verified(api)
    assert (found["valid"], found["firstBadSeq"]) == (False, signed)


async def test_a_chain_cut_with_its_head_contradicts_its_checkpoint(api: Api) -> None:
    head = await chain(api)
    await sign(api)
    await alter(api, "DELETE FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, head)
    await alter(
        api,
        """UPDATE change_chains SET seq = c.seq, hash = c.hash FROM changes c
           WHERE c.team_id = $1 AND c.seq = $2 AND change_chains.team_id = $1""",
        api.team_id,
        head - 1,
    )
    assert (await verification.verify(api.pool, secrets(api), api.team_id)).first_bad_seq == head
    assert (await verification.verify(api.pool, secrets(api), api.team_id, last=head - 1)).valid


@pytest.mark.parametrize(
    "change",
    [
        "hash = repeat('0', 64)",
        "seq = seq - 1",
        "signature = repeat('A', 86) || '=='",
        "signature = 'x'",
        "key_id = 'key_unknown'",
    ],
)
async def test_an_altered_checkpoint_is_found(api: Api, change: str) -> None:
    await chain(api)
    await sign(api)
    await alter(api, f"UPDATE audit_checkpoints SET {change} WHERE team_id = $1", api.team_id)
    assert not (await verified(api))["valid"]


async def test_a_key_of_somebody_else_signs_nothing(api: Api) -> None:
    """Whoever has the database and not the installation's key makes a key of their own, and is not believed."""
    head = await chain(api)
    await sign(api)
    await forge(api, head - 1)
    theirs = signing.new_signer()
    hash_ = await ask(api, "SELECT hash FROM change_chains WHERE team_id = $1", api.team_id)
    sealed = signing.seal(Secrets(b"\1" * 32), theirs)
    await alter(api, "UPDATE audit_keys SET id = $1, secret = $2", theirs.key_id, sealed)
    await alter(
        api,
        "UPDATE audit_checkpoints SET hash = $2, key_id = $3, public_key = $4, signature = $5 WHERE team_id = $1",
        api.team_id,
        hash_,
        theirs.key_id,
        theirs.public_key,
        theirs.sign(signing.message(api.team_id, head, hash_)),
    )
    found = await verified(api)
    assert (found["valid"], found["firstBadSeq"]) == (False, head)


async def test_what_does_not_fit_is_not_signed(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    bad = await chain(api) - 1
    await alter(api, "UPDATE changes SET reason = 'x' WHERE team_id = $1 AND seq = $2", api.team_id, bad)
    await sign(api)
    assert await listed(api, teamId=api.team_id) == []
    assert f"does not fit from row {bad} on" in caplog.text


async def test_each_sees_their_own(api: Api) -> None:
    await chain(api)
    await happen(api.pool, api.other_team_id)
    await sealer.seal(api.pool)
    await sign(api)
    outsider, developer, auditor = await api.outsider(), await api.member("developer"), await api.member("auditor")
    seen = (await auditor.request("GET", CHECKPOINTS)).data
    assert {mark["teamId"] for mark in seen} == {api.team_id}
    assert {mark["teamId"] for mark in (await outsider.request("GET", CHECKPOINTS)).data} == {api.other_team_id}
    assert await refused(outsider, CHECKPOINTS, teamId=api.team_id) == (404, "not_found")
    assert await refused(outsider, CHECKPOINTS, teamId="null") == (403, "insufficient_scope")
    assert await refused(developer, CHECKPOINTS) == (403, "insufficient_scope")
