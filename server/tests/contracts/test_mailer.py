"""What every Mailer promises, held against SMTP with a real server and against the fake; then what SMTP alone has."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cygnid.mail.base import Mail, Mailer, MailRefused, MailUnavailable
from cygnid.mail.smtp import SmtpMailer
from tests.fakes.mailer import FakeMailer
from tests.make.smtp import Inbox, certificate, smtp_server

SENDER = "Cygni <cygni@example.com>"
MAIL = Mail(id="mail_1", to="ada@example.com", subject="Ä subject", text="First line\n.\nlast line: https://x/#y=z\n")


@dataclass
class Subject:
    mailer: Mailer
    inbox: Inbox | None

    def texts(self) -> list[str]:
        if self.inbox is None:
            assert isinstance(self.mailer, FakeMailer)
            return [mail.text for mail in self.mailer.sent]
        return [message.get_content().replace("\r\n", "\n") for message in self.inbox.messages]


@pytest.fixture(params=["smtp", "fake"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield Subject(FakeMailer(), None)
        return
    async with smtp_server() as inbox:
        inbox.answers["unknown@example.com"] = "550 5.1.1 nobody"
        yield Subject(SmtpMailer(f"smtp+insecure://127.0.0.1:{inbox.port}", sender=SENDER), inbox)


def to(address: str) -> Mail:
    return Mail(id="mail_2", to=address, subject="s", text="t\n")


async def test_what_is_sent_arrives_as_it_is(subject: Subject) -> None:
    await subject.mailer.send(MAIL)
    await subject.mailer.send(to("bo@example.com"))
    assert subject.texts() == [MAIL.text, "t\n"]


async def test_who_is_unknown_is_refused_for_good(subject: Subject) -> None:
    with pytest.raises(MailRefused):
        await subject.mailer.send(to("unknown@example.com"))
    assert subject.texts() == []


async def test_a_server_that_is_away_may_come_back(subject: Subject) -> None:
    mailer = subject.mailer
    if isinstance(mailer, FakeMailer):
        mailer.is_away = True
    else:
        assert subject.inbox is not None
        subject.inbox.answers["ada@example.com"] = "451 4.7.1 greylisted, try again"
    with pytest.raises(MailUnavailable):
        await mailer.send(MAIL)


async def test_its_headers_say_what_it_is() -> None:
    async with smtp_server() as inbox:
        await SmtpMailer(f"smtp+insecure://127.0.0.1:{inbox.port}", sender=SENDER).send(MAIL)
    [message] = inbox.messages
    assert (message["From"], message["To"], message["Subject"]) == (SENDER, "ada@example.com", "Ä subject")
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<mail_1@example.com>", "auto-generated")
    assert inbox.envelopes == [("cygni@example.com", ["ada@example.com"], False)]


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_it_is_encrypted_and_logs_in(scheme: str, tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    how = {"tls" if scheme == "smtps" else "starttls": server}
    async with smtp_server(**how, login=("ada", "p@ss:word")) as inbox:
        url = f"{scheme}://ada:p%40ss%3Aword@127.0.0.1:{inbox.port}"
        await SmtpMailer(url, sender=SENDER, tls=client).send(MAIL)
        assert [encrypted for _, _, encrypted in inbox.envelopes] == [True]
        with pytest.raises(MailUnavailable, match="535"):
            await SmtpMailer(url.replace("word", "x"), sender=SENDER, tls=client).send(MAIL)
        with pytest.raises(MailUnavailable, match=r"(?i)certificate"):
            await SmtpMailer(url, sender=SENDER).send(MAIL)
    assert len(inbox.messages) == 1


async def test_a_server_without_tls_gets_nothing_unless_told_so() -> None:
    async with smtp_server() as inbox:
        with pytest.raises(MailUnavailable, match="STARTTLS"):
            await SmtpMailer(f"smtp://127.0.0.1:{inbox.port}", sender=SENDER).send(MAIL)
    assert inbox.messages == []
    with pytest.raises(MailUnavailable, match=r"127\.0\.0\.1"):
        await SmtpMailer(f"smtp+insecure://127.0.0.1:{inbox.port}", sender=SENDER).send(MAIL)


@pytest.mark.parametrize(("url", "sender"), [
    ("http://mail.example.com", SENDER), ("smtps://", SENDER), ("mail.example.com", SENDER),
    ("smtps://mail.example.com", ""), ("smtps://mail.example.com", "Cygni"),
])  # fmt: skip
def test_what_is_no_server_is_refused(url: str, sender: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is needed"):
        SmtpMailer(url, sender=sender)


def test_nobody_adds_a_header() -> None:
    with pytest.raises(ValueError, match=r"(?i)header"):
        SmtpMailer("smtps://mail.example.com", sender=SENDER)._message(to("ada@example.com\r\nBcc: eve@example.com"))
