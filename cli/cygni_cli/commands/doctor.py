from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from cygni import APIStatusError, ConfigurationError, CygniError, Model, Response, login_file, resolve
from cygni_cli.client import Client
from cygni_cli.command import command
from cygni_cli.context import Context
from cygni_cli.output import Result

if TYPE_CHECKING:
    from cygni.types import Health

# Beyond this, times in logs mislead, and a certificate that has just been issued is not valid yet.
MAX_CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True)
class Check:
    name: str
    status: Literal["ok", "warning", "failed"]
    message: str
    hint: str | None = None


@command(examples=["cygni doctor", "cygni doctor --json"])
def doctor(ctx: Context) -> Result:
    """Check login, network, API, name resolution and clock of this machine."""
    checks = list(_checks())
    marks = {"ok": "✓", "warning": "!", "failed": "✗"}
    lines: list[str] = []
    for check in checks:
        lines.append(f"{marks[check.status]} {check.name:<10} {check.message}")
        lines += [f"{'':<12} {check.hint}"] if check.hint else []
    failed = any(check.status == "failed" for check in checks)
    return Result([asdict(check) for check in checks], lines, exit_code=1 if failed else 0)


def _checks() -> Iterator[Check]:
    try:
        target = resolve(None, None)
    except ConfigurationError as error:
        yield Check("login", "failed", str(error), "Run `cygni login`.")
        yield _localhost()
        return
    yield _login(target.base_url)
    with Client(target.api_key, target.base_url, max_retries=0, timeout=10) as client:
        try:
            health = client.platform.health()
        except APIStatusError as error:
            yield Check("api", "failed", f"{target.base_url} answers {error}", "Is it the URL of a Cygni API?")
        except CygniError as error:
            yield Check("api", "failed", str(error), "Check the URL, the network, and that the installation runs.")
        else:
            yield _health(health)
            yield _token(client)
            yield _clock(health.last_response)
    yield _localhost()


def _login(base_url: str) -> Check:
    if os.environ.get("CYGNI_API_KEY"):
        return Check("login", "ok", f"CYGNI_API_KEY, for {base_url}")
    path = login_file()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Check("login", "warning", f"{path} can be read by others", f"Run `chmod 600 {path}`.")
    return Check("login", "ok", f"{path}, for {base_url}")


def _health(health: Health) -> Check:
    if not isinstance(health, Model) or not health.status:  # pyright: ignore[reportUnnecessaryIsInstance] - see read
        return Check("api", "failed", "something answers, but not a Cygni API", "Check the URL.")
    version = f", version {health.version}" if health.version else ""
    if health.status == "ok":
        return Check("api", "ok", f"it is well{version}")
    poor = ", ".join(one.name for one in health.checks or [] if one.status != "ok")
    hint = f"Not well: {poor}." if poor else None
    return Check("api", "warning", f"it is {health.status}{version}", hint)


def _token(client: Client) -> Check:
    try:
        token = client.me.get().token
    except CygniError as error:
        return Check("token", "failed", str(error), "Run `cygni login`.")
    expires_at = token and token.to_dict().get("expiresAt")
    until = f"until {expires_at}" if expires_at else "without an end"
    return Check("token", "ok", f"{token and token.name} is valid, {until}")


def _clock(answer: Response) -> Check:
    sent = answer.headers.get("date")
    if sent is None:
        return Check("clock", "warning", "the API does not say what time it is")
    skew = time.time() - parsedate_to_datetime(sent).timestamp()
    if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        return Check("clock", "warning", f"differs from the API's by {skew:.0f} s", "Set it by NTP.")
    return Check("clock", "ok", "agrees with the API's")


def _localhost() -> Check:
    """Local installations serve apps at names below localhost, which not every resolver knows (RFC 6761, 6.3)."""
    try:
        socket.getaddrinfo("probe.localhost", 80)
    except OSError:
        hint = "Browsers and curl know them by themselves; other programs need the address and a Host header."
        return Check("localhost", "warning", "names below localhost do not resolve on this machine", hint)
    return Check("localhost", "ok", "names below localhost resolve")
