"""Mail by SMTP (RFC 5321), encrypted from the start or by STARTTLS (RFC 3207), never in the clear by accident."""

import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Literal
from urllib.parse import unquote, urlsplit

import aiosmtplib

from cygnid.mail.base import Mail, MailRefused, MailUnavailable

Security = Literal["tls", "starttls", "none"]
_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtps": ("tls", 465),
    "smtp": ("starttls", 587),
    "smtp+insecure": ("none", 25),
}
_PERMANENT = 500


class SmtpMailer:
    """`url`: smtps://, smtp:// (STARTTLS, required) or smtp+insecure:// (a relay on this machine), with user, password,
    host and port. `sender`: an address, perhaps with a name before it. Raises ValueError for what is none."""

    def __init__(
        self, url: str, *, sender: str, tls: ssl.SSLContext | None = None, timeout_seconds: float = 30
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError("must be smtps://, smtp:// or smtp+insecure:// with a host")
        name, address = parseaddr(sender)
        if "@" not in address:
            raise ValueError("a sender is needed: an e-mail address")
        self._security, port = _SCHEMES[parts.scheme]
        self._host, self._port = parts.hostname, parts.port or port
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = Address(name, addr_spec=address)
        self._tls = tls
        self._timeout = timeout_seconds

    async def send(self, mail: Mail) -> None:
        """See `base.Mailer`."""
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._tls or ssl.create_default_context(),
            timeout=self._timeout,
        )
        try:
            async with client:
                await client.send_message(self._message(mail))
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _of_code(self._host, error.recipients[0].code, error.recipients[0].message) from error
        except aiosmtplib.SMTPDataError as error:
            raise _of_code(self._host, error.code, error.message) from error
        except aiosmtplib.SMTPResponseException as error:
            # about our login, our sender or ourselves: whoever runs the installation can mend it
            raise MailUnavailable(f"{self._host} answered {error.code} {error.message}") from error
        except aiosmtplib.SMTPNotSupported as error:
            raise MailRefused(f"{self._host} cannot send it: {error}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"{self._host}:{self._port}: {error} {error.__cause__ or ''}".strip()) from error

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = f"<{mail.id}@{self._sender.domain}>"
        # so that nobody's absence is answered to us (RFC 3834)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message


def _of_code(host: str, code: int, text: str) -> MailRefused | MailUnavailable:
    said = f"{host} answered {code} {text}"
    return MailRefused(said) if code >= _PERMANENT else MailUnavailable(said)
