"""What is said of signing in."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from cygnid.core.errors import Forbidden, Unauthorized, ValidationError
from cygnid.core.filters import TimeQuery
from cygnid.core.schemas import FreeMap, In, Out, Timestamp
from cygnid.resources.users.schemas import Name

SESSION_LASTS = timedelta(hours=12)
MAX_PASSWORD = 128

Password = Annotated[str, Meta(max_length=MAX_PASSWORD, description="12 to 128 characters of any kind.")]
"""In requests; `passwords.check` has the rules of a new one."""
Code = Annotated[str, Meta(min_length=1, max_length=200)]

Otp = Annotated[str, Meta(min_length=1, max_length=40)]
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\\\]]{1,64}@[^\s@\"(),:;<>\[\\\]]{1,255}\.[^\s@.\"(),:;<>\[\\\]]{1,63}")


def email_address(text: str, *, field: str = "email") -> str:
    """In the form that is stored and compared: without spaces around it, in small letters. Whether it is anybody's is
    found out by mail, not by its form. Raises ValidationError."""
    found = text.strip().lower()
    if len(found) > 254 or not _EMAIL.fullmatch(found):
        raise ValidationError.one(field, "Must be an e-mail address")
    return found


def person_name(text: str) -> str:
    """Without spaces around it. Raises ValidationError."""
    found = text.strip()
    if not found or not found.isprintable():
        raise ValidationError.one("name", "Must be a name")
    return found


class InvalidCredentials(Unauthorized):
    """This is not the e-mail address and password of anybody here."""

    code = "invalid_credentials"
    hint = "Try again, or ask for a new password: POST /v1/auth/password-reset."


class ProviderRefused(Unauthorized):
    """The provider did not vouch for you."""

    code = "invalid_credentials"
    hint = "Begin anew. If it stays, tell whoever runs this installation what the message says."


class OtpRequired(Unauthorized):
    """The password is right; a code of the second factor is needed too."""

    code = "otp_required"
    hint = "Send it as otp, or one of the recovery codes."


class RegistrationClosed(Forbidden):
    """Nobody registers here by themselves."""

    code = "registration_closed"
    hint = "Ask an owner or admin of a team for an invitation."


class RegisterInput(In, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=300)]
    password: Password
    name: Name
    setup_code: Code | None = None
    """The one that `cygnid up` or `cygnid setup-code` prints: completes the user who owns the installation."""
    invitation_token: Code | None = None
    """Of an invitation to this address: makes the new user a member too."""


class LoginInput(In, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=300)]
    password: Password
    otp: Otp | None = None
    """Of the second factor, where there is one; a recovery code does too."""


class PasswordInput(In, frozen=True, kw_only=True):
    current_password: Password
    new_password: Password


class PasswordResetInput(In, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=300)]


class PasswordResetConfirmInput(In, frozen=True, kw_only=True):
    reset_token: Code
    new_password: Password


class EmailConfirmInput(In, frozen=True, kw_only=True):
    confirmation_token: Code


class TwoFactorEnrollInput(In, frozen=True, kw_only=True):
    current_password: Password


class TwoFactorConfirmInput(In, frozen=True, kw_only=True):
    otp: Otp


class TwoFactorDisableInput(In, frozen=True, kw_only=True):
    current_password: Password
    otp: Otp


class TwoFactorEnrollment(Out, frozen=True, kw_only=True):
    secret: str
    """To be typed into an authenticator."""
    otpauth_url: str
    """The same, to be shown as a picture."""


class RecoveryCodes(Out, frozen=True, kw_only=True):
    recovery_codes: list[str]
    """Each lets its user in once, in place of a code of the device. They are not shown again."""


class DeviceAuthorization(Out, frozen=True, kw_only=True):
    """RFC 8628, section 3.2."""

    device_code: str
    """Only for the device: whoever has it gets the session."""
    user_code: str
    verification_uri: str
    interval: int
    """Seconds between two questions."""
    expires_in: int


class DeviceTokenInput(In, frozen=True, kw_only=True):
    device_code: Code


class DeviceApproveInput(In, frozen=True, kw_only=True):
    user_code: Code
    approve: bool


class OidcStartInput(In, frozen=True, kw_only=True):
    redirect_uri: Annotated[str, Meta(min_length=1, max_length=1000)]
    """Where the browser comes back to, with code and state."""


class OidcStart(Out, frozen=True, kw_only=True):
    authorization_url: str
    state: str
    """Must come back the same: whoever did not begin this gets nothing from its end."""
    expires_at: Timestamp


class OidcFinishInput(In, frozen=True, kw_only=True):
    code: Annotated[str, Meta(min_length=1, max_length=4000)]
    state: Code


class MePatch(In, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    preferences: FreeMap | UnsetType = UNSET
    """What a client wants to remember of you; replaced as a whole."""
    email: Annotated[str, Meta(max_length=300)] | UnsetType = UNSET
    current_password: Password | None = None
    """Required with `email`."""


class AuthProvider(Out, frozen=True, kw_only=True):
    id: str
    name: str


class AuthMethods(Out, frozen=True, kw_only=True):
    registration: Literal["open", "invitation", "closed", "setup"]
    """setup: nobody can sign in yet, and a setupCode is needed."""
    password: bool
    providers: list[AuthProvider]
    mail: bool
    """Invitations and resets are sent, not shown."""


class SessionsQuery(TimeQuery, frozen=True, kw_only=True):
    """Those that are active; the filters narrow."""
