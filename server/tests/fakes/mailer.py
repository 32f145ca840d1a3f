"""A mail server that is no server: what was sent, and addresses that it does not take."""

from dataclasses import dataclass, field

from cygnid.mail.base import Mail, MailRefused, MailUnavailable


@dataclass
class FakeMailer:
    sent: list[Mail] = field(default_factory=list[Mail])
    is_away: bool = False

    async def send(self, mail: Mail) -> None:
        if self.is_away:
            raise MailUnavailable("away")
        if mail.to.startswith("unknown@"):
            raise MailRefused("550 unknown")
        self.sent.append(mail)
