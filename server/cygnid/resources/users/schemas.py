"""What is said of people."""

from enum import StrEnum

from cygnid.core.errors import Conflict
from cygnid.core.schemas import FreeMap, Out, Timestamp


class UserEvent(StrEnum):
    REGISTERED = "user.registered"


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
