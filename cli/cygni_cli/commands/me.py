from __future__ import annotations

import click

from cygni import OMIT
from cygni_cli.client import Client
from cygni_cli.command import LazyGroup, NounGroup, command
from cygni_cli.commands.login import shown
from cygni_cli.context import Context
from cygni_cli.login import PASSWORD_STDIN, read_password, url_of_api
from cygni_cli.output import Result

me = NounGroup(
    name="me",
    help="Your own account: name, address, password.",
    default="show",
    places={
        "show": ("me:show", "Your account, and the token that is used."),
        "update": ("me:update", "Change your name or address."),
        "password": ("me:change_password", "Change your password."),
        "reset-password": ("me:reset_password", "Ask for a new password by mail, and set it."),
        "two-factor": ("me:two_factor", "Ask for a second factor when you sign in, or no more."),
        "confirm-email": ("me:confirm_email", "Confirm your address with what was mailed."),
    },
)


@command(examples=["cygni me", "cygni me show --json"])
def show(ctx: Context) -> Result:
    """Show your account, and the token that is used."""
    return shown(ctx)


@command(examples=["cygni me update --name 'Ada Lovelace'", "cygni me update --email ada@new.example.com"])
@click.option("--name", help="What others see of you.")
@click.option("--email", help="What you sign in with. It takes effect when it is confirmed.")
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the password, which a new address needs, from stdin.")
def update(ctx: Context, *, name: str | None, email: str | None, password_stdin: bool) -> Result:
    """Change your name or e-mail address. Needs a session: cygni login."""
    if name is None and email is None:
        raise click.UsageError("Pass --name or --email.")
    password = OMIT if email is None else read_password(ctx, from_stdin=password_stdin)
    changed = ctx.client.me.update(name=name or OMIT, email=email or OMIT, current_password=password)
    user = changed.user
    waits = email is not None and user is not None and user.email != email.strip().lower()
    after = [f"A link was mailed to {email}: the address counts once it is confirmed."] if waits else []
    return Result(changed, [f"You are {user and user.name} <{user and user.email}>"], after)


@command(examples=["cygni me password"])
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the present and the new password from stdin, a line each.")
def change_password(ctx: Context, *, password_stdin: bool) -> Result:
    """Change your password; your other sessions end. Needs a session: cygni login."""
    current = read_password(ctx, from_stdin=password_stdin)
    new = read_password(ctx, from_stdin=password_stdin, new=True)
    ctx.client.auth.change_password(current_password=current, new_password=new)
    return Result({"changed": True}, ["Your password is changed, and your other sessions have ended"])


@command(
    examples=[
        "cygni me reset-password ada@example.com                 ask for it",
        "cygni me reset-password --token kKx6Xh3v…               set it, with what was mailed",
    ]
)
@click.argument("email", required=False)
@click.option("--token", help="What was mailed, or what `cygnid reset-password` printed.")
@click.option("--url", help="URL of the API. Default: CYGNI_API_URL, then the last one.")
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the new password from stdin.")
def reset_password(
    ctx: Context, *, email: str | None, token: str | None, url: str | None, password_stdin: bool
) -> Result:
    """Ask for a new password by mail, or set it with what was mailed. Needs no login."""
    if (email is None) == (token is None):
        raise click.UsageError("Pass an e-mail address, or --token.")
    with Client("", url_of_api(ctx, url)) as client:
        if email is not None:
            client.auth.request_password_reset(email=email)
            return Result({"asked": True}, [f"If {email} is somebody's address here, mail is on its way"])
        new = read_password(ctx, from_stdin=password_stdin, new=True)
        client.auth.confirm_password_reset(reset_token=token or "", new_password=new)
    return Result({"changed": True}, ["Your password is changed, and all sessions have ended"], ["cygni login"])


two_factor = LazyGroup(
    name="two-factor",
    help="A code of an authenticator as second factor of signing in.",
    places={
        "enroll": ("me:enroll_two_factor", "Get the secret for an authenticator."),
        "confirm": ("me:confirm_two_factor", "Confirm by the first code; prints the recovery codes."),
        "disable": ("me:disable_two_factor", "Ask for no second factor any more."),
    },
)


@command(examples=["cygni me two-factor enroll"])
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the password from stdin.")
def enroll_two_factor(ctx: Context, *, password_stdin: bool) -> Result:
    """Get the secret for an authenticator. It is asked for once it is confirmed."""
    password = read_password(ctx, from_stdin=password_stdin)
    made = ctx.client.auth.enroll_two_factor(current_password=password)
    return Result(
        made, [f"secret  {made.secret}", f"url     {made.otpauth_url}"], ["cygni me two-factor confirm <first code>"]
    )


@command(examples=["cygni me two-factor confirm 123456"])
@click.argument("otp")
def confirm_two_factor(ctx: Context, *, otp: str) -> Result:
    """Confirm by the first code. The recovery codes are printed on stdout, this once."""
    codes = ctx.client.auth.confirm_two_factor(otp=otp)
    return Result(codes, list(codes.recovery_codes), ["Each lets you in once without the device. Keep them apart."])


@command(examples=["cygni me two-factor disable --otp 123456"])
@click.option("--otp", required=True, help="A code of the authenticator, or a recovery code.")
@click.option(PASSWORD_STDIN, is_flag=True, help="Read the password from stdin.")
def disable_two_factor(ctx: Context, *, otp: str, password_stdin: bool) -> Result:
    """Ask for no second factor any more."""
    password = read_password(ctx, from_stdin=password_stdin)
    ctx.client.auth.disable_two_factor(current_password=password, otp=otp)
    return Result({"enabled": False}, ["Your password alone lets you in now"])


@command(examples=["cygni me confirm-email mB0m2Yt8…"])
@click.argument("token")
@click.option("--url", help="URL of the API. Default: CYGNI_API_URL, then the last one.")
def confirm_email(ctx: Context, *, token: str, url: str | None) -> Result:
    """Confirm your e-mail address with what was mailed to it. Needs no login."""
    with Client("", url_of_api(ctx, url)) as client:
        client.auth.confirm_email(confirmation_token=token)
    return Result({"confirmed": True}, ["This address is yours"])
