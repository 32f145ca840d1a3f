"""Old rows are removed and the chain still verifies; whoever removes some by hand is found."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cygnid.core import db, sealer
from cygnid.core.actors import SYSTEM
from cygnid.core.changes import Subject, record
from cygnid.core.sealer import FIRST_HASH
from cygnid.resources.audit import actions, signing, tasks, verification
from cygnid.resources.audit.schemas import AuditVerification
from tests.make.api import Api
from tests.resources.audit.test_audit import listed, secrets
from tests.resources.audit.test_verify import alter, ask, chain

DAYS = 30


async def aged(api: Api, monkeypatch: pytest.MonkeyPatch) -> int:
    """A chain whose first rows, up to the returned seq, a checkpoint of long ago covers."""
    covered = await chain(api, 5)
    await actions.sign_heads(api.pool, secrets(api))
    now = actions.clock.now()
    monkeypatch.setattr(actions.clock, "now", lambda: now + timedelta(days=DAYS, minutes=1))
    await chain(api, 3)
    return covered


async def prune(api: Api) -> None:
    await actions.prune(api.pool, secrets(api), days=DAYS)


async def verified(api: Api, **part: Any) -> AuditVerification:
    return await verification.verify(api.pool, secrets(api), api.team_id, **part)


async def test_what_is_removed_is_old_and_covered_and_leaves_a_row(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    covered = await aged(api, monkeypatch)
    hash_ = await ask(api, "SELECT hash FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, covered)
    await prune(api)
    assert await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id) == covered + 1
    assert (await verified(api)).valid  # also before the sealer comes
    await sealer.seal(api.pool)
    found = await verified(api)
    assert (found.valid, found.checked_rows, found.head_seq) == (True, 4, covered + 4)
    (row,) = await listed(await api.owner(), action="audit.pruned", teamId=api.team_id)
    assert row["actor"]["type"] == "system"
    assert (row["after"]["throughSeq"], row["after"]["hash"], row["after"]["rows"]) == (covered, hash_, covered)
    await prune(api)  # there is nothing more
    assert await ask(api, "SELECT count(*) FROM changes WHERE type = 'audit.pruned' AND team_id = $1", api.team_id) == 1


async def test_parts_are_verified_as_far_as_they_are_there(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    covered = await aged(api, monkeypatch)
    await prune(api)
    await sealer.seal(api.pool)
    assert (await verified(api, first=2, last=3)).valid
    assert (await verified(api, first=covered + 1)).valid
    assert (await verified(api, first=covered + 2, last=covered + 3)).checked_rows == 2


async def test_it_goes_on_and_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await aged(api, monkeypatch)
    await prune(api)
    await sealer.seal(api.pool)
    await actions.sign_heads(api.pool, secrets(api))
    last = await ask(api, "SELECT seq FROM change_chains WHERE team_id = $1", api.team_id)
    now = actions.clock.now()
    monkeypatch.setattr(actions.clock, "now", lambda: now + timedelta(days=DAYS, minutes=1))
    await prune(api)
    assert (await verified(api)).valid
    await chain(api, 2)
    assert await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id) == last + 1
    assert (await verified(api)).valid


async def test_young_rows_and_uncovered_ones_stay(api: Api) -> None:
    await chain(api, 5)
    await actions.sign_heads(api.pool, secrets(api))
    await prune(api)
    assert await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id) == 1


async def test_what_does_not_fit_is_not_removed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await aged(api, monkeypatch)
    await alter(api, "UPDATE changes SET reason = 'x' WHERE team_id = $1 AND seq = 2", api.team_id)
    await prune(api)
    assert (await verified(api)).first_bad_seq == 2
    assert await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id) == 1


async def test_more_removed_by_hand_is_found(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    covered = await aged(api, monkeypatch)
    await prune(api)
    await sealer.seal(api.pool)
    await alter(api, "DELETE FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, covered + 1)
    assert not (await verified(api)).valid


async def test_a_forged_row_about_it_is_not_believed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealer seals what it finds in the table; only the key makes that rows may be missing."""
    covered = await aged(api, monkeypatch)
    mark = await ask(api, "SELECT signature FROM audit_checkpoints WHERE team_id = $1", api.team_id)
    hash_ = await ask(api, "SELECT hash FROM changes WHERE team_id = $1 AND seq = $2", api.team_id, covered)
    key = await ask(api, "SELECT key_id FROM audit_checkpoints WHERE team_id = $1", api.team_id)
    theirs = signing.new_signer().sign(signing.pruned_message(api.team_id, covered, hash_))
    await alter(api, "DELETE FROM changes WHERE team_id = $1 AND seq <= $2", api.team_id, covered)
    for signature in (theirs, mark):
        said = {"throughSeq": covered, "hash": hash_, "keyId": key, "signature": signature}
        async with db.begin(api.pool) as tx:
            subject = Subject(type="auditLog", id=None, name=None, team_id=api.team_id)
            await record(tx, SYSTEM, "audit.pruned", subject, after=said)
        await sealer.seal(api.pool)
        assert (await verified(api)).first_bad_seq == 1


async def test_rows_removed_while_they_are_read_are_not_missed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    covered = await aged(api, monkeypatch)
    monkeypatch.setattr(verification, "_BATCH", 2)
    true = verification.queries.part
    calls = 0

    async def part(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            monkeypatch.setattr(verification.queries, "part", true)
            await prune(api)
        return await true(*given)

    monkeypatch.setattr(verification.queries, "part", part)
    assert (await verified(api, last=covered + 3)).valid
    assert await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id) == covered + 1


@pytest.mark.parametrize("days", [0, DAYS])
async def test_the_setting_says_whether(api: Api, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    class Backends:
        settings = msgspec.structs.replace(api.settings, audit_retention_days=days)
        pool = api.pool
        secrets = secrets(api)

    covered = await aged(api, monkeypatch)
    await tasks.prune_old(Backends())
    left = await ask(api, "SELECT min(seq) FROM changes WHERE team_id = $1", api.team_id)
    assert left == (covered + 1 if days else 1)


def test_a_checkpoint_is_no_licence_to_remove() -> None:
    signer = signing.new_signer()
    signature = signer.sign(signing.message("team_1", 1, FIRST_HASH))
    assert not signer.signed(signing.pruned_message("team_1", 1, FIRST_HASH), signature)
