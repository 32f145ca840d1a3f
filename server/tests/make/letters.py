"""What is waiting to be mailed."""

import re

from cygnid.core import db, outbox
from cygnid.core.outbox import Letter
from cygnid.core.secrets import Secrets
from tests.make.api import Api

SMTP = {"smtp_url": "smtps://127.0.0.1:9", "smtp_from": "cygni@example.com"}
"""Settings of an installation that sends mail; the API alone writes it down."""


async def letters(api: Api) -> list[Letter]:
    """Oldest first; they are gone then."""
    async with db.begin(api.pool) as tx:
        found: list[Letter] = []
        for row in await api.pool.fetch("SELECT id FROM mails ORDER BY created_at, id"):
            letter = await outbox.read(tx, Secrets(api.settings.key()), row["id"])
            assert letter is not None
            found.append(letter)
            await outbox.forget(tx, row["id"])
    return found


def link(letter: Letter) -> str:
    """What works once."""
    [found] = re.findall(r"(?:#|--token |confirm-email )([\w-]{43})", letter.text)
    return found
