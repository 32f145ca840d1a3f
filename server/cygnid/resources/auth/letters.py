"""What is mailed. A link leads to the dashboard where there is one, else the command that does the same is named."""

from cygnid.core.outbox import Letter
from cygnid.settings import Settings

_NOT_YOU = "If it was not you, ask whoever runs this installation at once."


def reset(settings: Settings, email: str, token: str) -> Letter:
    way = _way(settings, f"password-reset#{token}", f"cygni me reset-password --token {token}")
    return _letter(
        settings,
        email,
        "A new password",
        f"Somebody asked for a new password for this address.\n\n{way}\n\nThis works once, for an hour. If it was not "
        "you, do nothing: your password stays as it is.",
    )


def confirmation(settings: Settings, email: str, token: str) -> Letter:
    way = _way(settings, f"email-confirm#{token}", f"cygni me confirm-email {token}")
    return _letter(
        settings,
        email,
        "Is this your address?",
        f"Somebody gave this address as theirs.\n\n{way}\n\nThis works once, for a day. If it was not you, do nothing.",
    )


def address_changes(settings: Settings, email: str, new: str) -> Letter:
    return _letter(
        settings,
        email,
        "Your address is about to change",
        f"Somebody signed in as you asked to use {new} in place of this address. It takes effect when the new address "
        f"is confirmed.\n\n{_NOT_YOU}",
    )


def password_changed(settings: Settings, email: str) -> Letter:
    return _letter(
        settings,
        email,
        "Your password was changed",
        f"All other sessions have ended. Tokens stay valid: `cygni tokens` lists them.\n\n{_NOT_YOU}",
    )


def second_factor_changed(settings: Settings, email: str, *, is_on: bool) -> Letter:
    what = "is asked for" if is_on else "is not asked for any more"
    return _letter(
        settings, email, "Your second factor was changed", f"When you sign in, a second factor {what}.\n\n{_NOT_YOU}"
    )


def _way(settings: Settings, page: str, command: str) -> str:
    if settings.dashboard_url:
        return f"{settings.dashboard_url.rstrip('/')}/{page}"
    return f"On the command line:\n\n    {command} --url {settings.api_url}"


def _letter(settings: Settings, email: str, subject: str, text: str) -> Letter:
    return Letter(to=email, subject=f"Cygni: {subject}", text=f"{text}\n\n-- \nCygni at {settings.api_url}\n")
