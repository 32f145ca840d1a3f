"""Tokens that somebody has found in public."""

from collections.abc import Sequence

from cygnid.core import clock, token_format
from cygnid.core.actors import Actor
from cygnid.core.db import Tx
from cygnid.resources.tokens import actions, queries
from cygnid.resources.tokens.schemas import LeakedToken, TokenEvent


async def revoke(tx: Tx, actor: Actor, reports: Sequence[LeakedToken], *, request_id: str | None) -> None:
    """End those that are tokens of this installation, and say in the audit log where each was found."""
    found = {
        token_format.digest(report.token): report
        for report in reports
        if token_format.kind_of(report.token) is not None
    }
    for digest in sorted(found):  # in one order, so that two reports of the same tokens do not wait for each other
        row = await queries.token_of_secret(tx, digest, clock.now())
        if row is not None:
            data = {"url": found[digest].url, "source": found[digest].source}
            await actions.end(tx, actor, row, TokenEvent.LEAKED, data=data, request_id=request_id)
