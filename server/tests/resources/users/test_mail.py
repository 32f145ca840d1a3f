"""Mail that was written down goes out: by a worker, encrypted until then, again while the server is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cygnid.core import db, outbox
from cygnid.core.outbox import Letter
from cygnid.core.secrets import Secrets
from cygnid.core.wakeups import Wakeups
from cygnid.core.work import Worker
from cygnid.mail.base import Mailer
from cygnid.mail.smtp import SmtpMailer
from cygnid.resources.users.tasks import send_mail
from tests.fakes.mailer import FakeMailer
from tests.make.people import pool_of
from tests.make.smtp import smtp_server

SECONDS = 60
SECRETS = Secrets(b"k" * 32)
LETTER = Letter(to="ada@example.com", subject="Hello", text="the-link\n")


@dataclass
class Backends:
    pool: db.Pool
    mailer: Mailer | None
    secrets: Secrets = SECRETS


@asynccontextmanager
async def working(database_url: str, pool: db.Pool, mailer: Mailer | None) -> AsyncIterator[None]:
    wakeups = Wakeups(database_url)
    worker = Worker(send_mail, Backends(pool, mailer), pool, wakeups, look_seconds=0.2)
    tasks = [asyncio.create_task(wakeups.run()), asyncio.create_task(worker.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def post(pool: db.Pool, letter: Letter = LETTER, **good_for: float) -> None:
    async with db.begin(pool) as tx:
        await outbox.post(tx, SECRETS, letter, good_for=timedelta(**good_for or {"hours": 1}))


async def until_gone(pool: db.Pool) -> None:
    async with asyncio.timeout(SECONDS):
        while await pool.fetchval("SELECT count(*) FROM mails"):
            await asyncio.sleep(0.05)


async def test_it_goes_out_and_is_forgotten(database_url: str) -> None:
    async with pool_of(database_url) as pool, smtp_server() as inbox:
        await post(pool)
        stored: Any = await pool.fetchval("SELECT content FROM mails")
        assert b"the-link" not in stored
        assert b"ada@" not in stored
        mailer = SmtpMailer(f"smtp+insecure://127.0.0.1:{inbox.port}", sender="cygni@example.com")
        async with working(database_url, pool, mailer), asyncio.timeout(SECONDS):
            await inbox.arrived.wait()
            await until_gone(pool)
        [message] = inbox.messages
        assert (message["To"], message.get_content().strip()) == ("ada@example.com", "the-link")


async def test_it_waits_for_a_server_that_is_away(database_url: str) -> None:
    mailer = FakeMailer(is_away=True)
    async with pool_of(database_url) as pool:
        await post(pool)
        async with working(database_url, pool, mailer), asyncio.timeout(SECONDS):
            while not await pool.fetchval("SELECT tries = 1 AND lease_expires_at IS NULL FROM mails"):
                await asyncio.sleep(0.05)
            assert await pool.fetchval("SELECT due_at > now() FROM mails")
            mailer.is_away = False
            await pool.execute("UPDATE mails SET due_at = now()")
            await until_gone(pool)
    assert [mail.to for mail in mailer.sent] == ["ada@example.com"]


async def test_it_is_given_up_when_nobody_is_there_or_it_is_over(database_url: str) -> None:
    mailer = FakeMailer()
    async with pool_of(database_url) as pool:
        await post(pool, Letter(to="unknown@example.com", subject="s", text="t"))
        await post(pool, seconds=0)
        async with working(database_url, pool, mailer):
            await until_gone(pool)
        await post(pool)
        async with working(database_url, pool, None):
            await until_gone(pool)
    assert mailer.sent == []
