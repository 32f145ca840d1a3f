"""Mail that is to be sent: written down with the change that it tells of, sent by a worker after the commit."""

from datetime import timedelta

import msgspec

from cygnid.core.changes import Wake, wake
from cygnid.core.db import Read, Tx
from cygnid.core.ids import new_id
from cygnid.core.secrets import Secrets

_PURPOSE = "mail"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    to: str
    subject: str
    text: str


async def post(tx: Tx, secrets: Secrets, letter: Letter, *, good_for: timedelta) -> None:
    """Send it soon, and again while the server is away; not any more when `good_for` is over."""
    await tx.execute(
        """INSERT INTO mails (id, content, created_at, due_at, deadline_at)
           VALUES ($1, $2, now(), now(), now() + $3)""",
        new_id("mail"),
        secrets.seal(_PURPOSE, msgspec.json.encode(letter)),
        good_for,
    )
    await wake(tx, Wake.DUE)


async def read(reader: Read, secrets: Secrets, mail_id: str) -> Letter | None:
    """None: it was sent, or given up."""
    content = await reader.value("SELECT content FROM mails WHERE id = $1", mail_id)
    return None if content is None else msgspec.json.decode(secrets.open(_PURPOSE, content), type=Letter)


async def forget(tx: Tx, mail_id: str) -> None:
    await tx.execute("DELETE FROM mails WHERE id = $1", mail_id)
