"""Sending mail."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One message to one person, in plain text."""

    id: str
    """Part of its Message-ID: a message that is sent twice can be known as one."""
    to: str
    subject: str
    text: str


class MailRefused(Exception):
    """The address or the message will not be taken, however often it is tried; the message says who refused what."""


class MailUnavailable(Exception):
    """It cannot be sent now: the server is away, is busy, or does not know our password. Try again later."""


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Returns when a server has taken the message over. Raises MailRefused, MailUnavailable."""
        ...
