"""Mail goes out."""

import logging

from cygnid.backends import Backends
from cygnid.core import db, outbox
from cygnid.core.work import Claim, Lost, work
from cygnid.mail.base import Mail, MailRefused

log = logging.getLogger("cygnid.mail")


async def give_up(backends: Backends, claim: Claim, why: Lost) -> None:
    """What it says has ended meanwhile, or no server took it."""
    log.warning("%s is not sent: %s", claim.id, why)
    await _forget(backends, claim)


@work(table="mails", lost=give_up, max_attempts=10, concurrency=2, backoff_seconds=15)
async def send_mail(backends: Backends, claim: Claim) -> None:
    """Hand one message to the mail server. It may go out twice when we are stopped in between."""
    async with db.read(backends.pool) as read:
        letter = await outbox.read(read, backends.secrets, claim.id)
    if letter is None:
        return
    try:
        if backends.mailer is None:
            raise MailRefused("this installation sends no mail any more")
        await backends.mailer.send(Mail(id=claim.id, to=letter.to, subject=letter.subject, text=letter.text))
    except MailRefused as refused:
        # not whom it was for: the log is no place for addresses
        log.warning("%s is not sent: %s", claim.id, refused)
    await _forget(backends, claim)


async def _forget(backends: Backends, claim: Claim) -> None:
    async with db.begin(backends.pool) as tx:
        await claim.fence(tx)
        await outbox.forget(tx, claim.id)
