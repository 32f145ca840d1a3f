"""What is said of people."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from cygnid.core.errors import Conflict
from cygnid.core.schemas import FreeMap, Out, Timestamp


class UserEvent(StrEnum):
    REGISTERED = "user.registered"
    UPDATED = "user.updated"
    SIGNED_IN = "user.signed_in"
    SIGN_IN_FAILED = "user.sign_in_failed"
    SIGNED_OUT = "user.signed_out"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  an event
    TWO_FACTOR_ENABLED = "user.two_factor_enabled"
    TWO_FACTOR_DISABLED = "user.two_factor_disabled"
    SESSION_REVOKED = "session.revoked"


Name = Annotated[str, Meta(min_length=1, max_length=100)]


class EmailTaken(Conflict):
    """Another user has this e-mail address."""

    hint = "Sign in with this address, or use another."


class User(Out, frozen=True, kw_only=True):
    id: str
    name: str
    email: str | None
    """null: made by `cygnid up`, not completed yet."""
    email_verified: bool
    two_factor_enabled: bool
    is_instance_admin: bool
    preferences: FreeMap
    created_at: Timestamp
    updated_at: Timestamp
