import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cygnid.core import clock
from cygnid.core.db import Pool, begin, connect
from cygnid.core.errors import IdempotencyInProgress, IdempotencyKeyReused, SecretNotReplayable, ValidationError
from cygnid.core.idempotency import Stored, fingerprint, keep, look, parse_key, scope_key, sweep
from cygnid.core.secrets import Secrets

START = datetime(2024, 1, 1, tzinfo=UTC)
SECRETS = Secrets(b"k" * 32)
KEY = scope_key(SECRETS, "tok_1", "POST", "/v1/projects", "once")
PRINT = fingerprint(SECRETS, "", b'{"name":"a"}')
DATA = b'{"id":"tok_9","secret":"cygp_shown_once"}'


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await connect(database_url, size=8)
    yield pool
    await pool.close()


@pytest.fixture(autouse=True)
def time() -> Iterator[list[datetime]]:
    now = [START]
    clock.set_clock(lambda: now[0])
    yield now
    clock.set_clock(None)


async def first(pool: Pool, *, key: bytes = KEY, has_secret: bool = False) -> None:
    async with begin(pool) as tx:
        assert await look(tx, SECRETS, key, PRINT) is None
        await keep(tx, SECRETS, key, PRINT, status=201, data=DATA, resource_id="tok_9", has_secret=has_secret)


async def again(pool: Pool, *, key: bytes = KEY, print_: bytes = PRINT) -> Stored | None:
    async with begin(pool) as tx:
        return await look(tx, SECRETS, key, print_)


async def test_the_same_request_gets_the_stored_answer(pool: Pool):
    await first(pool)
    assert await again(pool) == Stored(status=201, data=DATA)


async def test_another_request_under_the_same_key_is_refused(pool: Pool):
    await first(pool)
    for other in (fingerprint(SECRETS, "", b'{"name":"b"}'), fingerprint(SECRETS, "dryRun=true", b'{"name":"a"}')):
        with pytest.raises(IdempotencyKeyReused):
            await again(pool, print_=other)


async def test_a_request_that_failed_runs_again(pool: Pool):
    async def fails() -> None:
        async with begin(pool) as tx:
            await look(tx, SECRETS, KEY, PRINT)
            await keep(tx, SECRETS, KEY, PRINT, status=201, data=DATA, resource_id=None, has_secret=False)
            raise LookupError

    with pytest.raises(LookupError):
        await fails()
    assert await again(pool) is None


async def test_while_the_first_runs_the_second_is_told_to_wait(pool: Pool):
    async with begin(pool) as tx:
        await look(tx, SECRETS, KEY, PRINT)
        with pytest.raises(IdempotencyInProgress) as waits:
            await again(pool)
        assert waits.value.headers == {"Retry-After": "1"}
        assert await again(pool, key=scope_key(SECRETS, "tok_2", "POST", "/v1/projects", "once")) is None
    assert await again(pool) is None


async def test_of_many_at_once_one_does_the_work(pool: Pool):
    worked = 0

    async def request() -> str:
        nonlocal worked
        try:
            async with begin(pool) as tx:
                if await look(tx, SECRETS, KEY, PRINT):
                    return "replayed"
                worked += 1
                await keep(tx, SECRETS, KEY, PRINT, status=201, data=DATA, resource_id=None, has_secret=False)
                return "worked"
        except IdempotencyInProgress:
            return "waits"

    outcomes = await asyncio.gather(*(request() for _ in range(24)))
    assert worked == 1
    assert outcomes.count("worked") == 1


async def test_the_answer_lies_encrypted(pool: Pool):
    await first(pool)
    async with begin(pool) as tx:
        row = await tx.value("SELECT row_to_json(idempotency)::text FROM idempotency")
        stored = await tx.value("SELECT data FROM idempotency")
    assert "shown_once" not in row
    assert b"shown_once" not in stored
    assert len(stored) >= len(DATA)


@pytest.mark.parametrize("swept", [True, False])
async def test_a_secret_is_replayed_for_ten_minutes_only(pool: Pool, time: list[datetime], swept: bool):
    await first(pool, has_secret=True)
    time[0] = START + timedelta(minutes=9, seconds=59)
    assert await again(pool) == Stored(status=201, data=DATA)
    time[0] = START + timedelta(minutes=10)
    if swept:
        async with begin(pool) as tx:
            assert await sweep(tx) == 1
            assert await tx.value("SELECT data FROM idempotency") is None
    with pytest.raises(SecretNotReplayable) as gone:
        await again(pool)
    assert gone.value.details == {"resourceId": "tok_9"}


@pytest.mark.parametrize("swept", [True, False])
async def test_a_key_is_free_again_after_a_day(pool: Pool, time: list[datetime], swept: bool):
    await first(pool)
    time[0] = START + timedelta(hours=23, minutes=59)
    assert await again(pool) is not None
    time[0] = START + timedelta(hours=24)
    if swept:
        async with begin(pool) as tx:
            assert await sweep(tx) == 1
    await first(pool)
    assert await again(pool) is not None


async def test_sweeping_leaves_what_is_young_or_has_no_secret(pool: Pool, time: list[datetime]):
    await first(pool)
    time[0] = START + timedelta(hours=23)
    await first(pool, key=scope_key(SECRETS, "tok_1", "POST", "/v1/projects", "two"), has_secret=True)
    async with begin(pool) as tx:
        assert await sweep(tx) == 0
        assert await tx.value("SELECT count(*) FROM idempotency WHERE data IS NOT NULL") == 2


def test_scopes_and_fingerprints_do_not_run_together():
    scopes = [("a", "POST", "/x", "k"), ("b", "POST", "/x", "k"), ("a", "PUT", "/x", "k"), ("a", "POST", "/y", "k")]
    shifted = [("a", "POST", "/x/k", ""), ("aP", "OST", "/x", "k"), ("a", "POST", "/x", "kk")]
    assert len({scope_key(SECRETS, *scope) for scope in scopes + shifted}) == 7
    assert fingerprint(SECRETS, "a", b"b") != fingerprint(SECRETS, "ab", b"")
    assert fingerprint(SECRETS, "a", b"b") != fingerprint(Secrets(b"o" * 32), "a", b"b")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (' "a b" ', "a b"),
        (r'"a\"b\\c"', r"a\"b\c".replace(r"\"", '"')),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_key_is_quoted_or_bare(header: str, key: str):
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", " ", '""', '"', '"a', 'a"b', "a b", '"a"b"', '"ä"', "ä", r'"a\b"', "x" * 256])
def test_any_other_form_of_a_key_is_refused(header: str):
    with pytest.raises(ValidationError) as refused:
        parse_key(header)
    assert refused.value.details["field"] == "Idempotency-Key"
