"""When and from where each token was last used."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Never

from cygnid.core import clock
from cygnid.core.actors import Actor
from cygnid.core.db import AWAY, Pool, Read, Tx, begin
from cygnid.resources.tokens.actions import authenticate

TOUCH_EVERY = timedelta(minutes=1)
log = logging.getLogger("cygnid.tokens")


@dataclass(frozen=True, kw_only=True)
class Use:
    """One use of a token, for `touch`."""

    token_id: str
    at: datetime
    ip: str | None


class LastUses:
    """Knows every caller through its `authenticate`, and writes their uses down together now and then: no request
    waits for it, and none opens a transaction for it."""

    def __init__(self) -> None:
        self._uses: dict[str, Use] = {}

    async def authenticate(self, read: Read, secret: str, ip: str | None) -> Actor:
        """See `core.actors.Authenticator`."""
        actor = await authenticate(read, secret, ip)
        if actor.token_id is not None:
            self._uses[actor.token_id] = Use(token_id=actor.token_id, at=clock.now(), ip=ip)
        return actor

    async def write(self, pool: Pool) -> None:
        """What was noted since the last time. Lost while the database is away: a later use says the same."""
        uses, self._uses = list(self._uses.values()), {}
        if not uses:
            return
        try:
            async with begin(pool) as tx:
                await touch(tx, uses)
        except AWAY as error:
            log.warning("the last use of %d tokens is not written: %r", len(uses), error)

    async def keep_writing(self, pool: Pool, *, every_seconds: float = 15) -> Never:
        while True:
            await asyncio.sleep(every_seconds)
            await self.write(pool)


async def touch(tx: Tx, uses: Sequence[Use]) -> int:
    """Note the last uses in one statement; how many tokens changed. At most once a minute for each token."""
    latest = {use.token_id: use for use in sorted(uses, key=lambda use: use.at)}
    return await tx.execute(
        """UPDATE tokens SET last_used_at = used.at, last_used_ip = used.ip
           FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS used (id, at, ip)
           WHERE tokens.id = used.id AND (last_used_at IS NULL OR last_used_at <= used.at - $4::interval)""",
        list(latest),
        [use.at for use in latest.values()],
        [use.ip for use in latest.values()],
        TOUCH_EVERY,
    )
