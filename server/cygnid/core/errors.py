"""The error catalogue. An error's docstring is its message; `hint` says what to do next.

CygniError
├── BadRequest 400: ValidationError · UnknownParameter
├── Unauthorized 401: TokenExpired · TokenRevoked
├── Forbidden 403: InsufficientScope · SessionRequired · EnvironmentProtected · SelfApproval · QuotaExceeded
├── NotFound 404 · MethodNotAllowed 405
├── Conflict 409: NameTaken · InvalidState · InUse · IdempotencyInProgress · SecretNotReplayable
├── Gone 410 · PreconditionFailed 412 · PayloadTooLarge 413 · UnsupportedMediaType 415
├── IdempotencyKeyReused 422 · RateLimited 429
└── InternalError 500 · Unavailable 503
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a body or query: dotted path, arrays by index (`processes[0].memoryMb`)."""

    field: str
    code: str
    reason: str


class CygniError(Exception):
    """Something went wrong."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    hint: str | None = None
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        super().__init__(self.message)
        self.hint = hint or type(self).hint
        self.details = dict(details or {})
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


class BadRequest(CygniError):
    """The request cannot be understood."""

    status = 400
    code = "validation_error"


class ValidationError(BadRequest):
    """The request has fields that break a rule."""

    hint = "errors[] lists every field that must change."

    @classmethod
    def of(cls, errors: Sequence[FieldError], message: str | None = None, **details: Any) -> "ValidationError":
        """All problems at once; the first also stands in `details`."""
        first = errors[0]
        return cls(
            message or f"Invalid {first.field}: {first.reason}",
            details={"field": first.field, "reason": first.reason, **details},
            errors=errors,
        )

    @classmethod
    def one(cls, field: str, reason: str, *, code: str = "invalid", **details: Any) -> "ValidationError":
        return cls.of([FieldError(field=field, code=code, reason=reason)], **details)


class UnknownParameter(BadRequest):
    """The query has a parameter that this route does not take."""

    code = "unknown_parameter"
    hint = "details.allowed lists the parameters of this route."


class Unauthorized(CygniError):
    """A valid token is required."""

    status = 401
    code = "unauthorized"
    hint = "Send the header Authorization: Bearer <token>. A new token comes from POST /v1/tokens or `cygnid token`."


class TokenExpired(Unauthorized):
    """This token has expired."""

    code = "token_expired"
    hint = "Create a new token, or rotate before the old one expires."


class TokenRevoked(Unauthorized):
    """This token was revoked."""

    code = "token_revoked"
    hint = "Create a new token."


class Forbidden(CygniError):
    """You may not do this."""

    status = 403
    code = "forbidden"
    team_id: str | None = None
    """Where it was refused, for the audit log; the answer does not tell it."""
    project_id: str | None = None
    environment: str | None = None


class InsufficientScope(Forbidden):
    """The token or your role lacks a permission that this needs."""

    code = "insufficient_scope"
    hint = "details.requiredScopes names what is missing: ask an owner or admin of the team, or use another token."


class SessionRequired(Forbidden):
    """This needs a signed-in session, not an API token."""

    code = "session_required"
    hint = "Sign in: `cygni login`, or POST /v1/auth/login."


class EnvironmentProtected(Forbidden):
    """This environment is protected: what changes it needs a grant there."""

    code = "environment_protected"
    hint = "Ask an owner or admin for a role in this environment (POST /v1/grants), which may end by itself."


class SelfApproval(Forbidden):
    """Whoever made a deployment does not approve it."""

    code = "self_approval"
    hint = "Ask somebody else who may approve here."


class QuotaExceeded(Forbidden):
    """A quota of the plan is used up."""

    code = "quota_exceeded"


class NotFound(CygniError):
    """There is nothing here that you can see."""

    status = 404
    code = "not_found"
    hint = "Check the id or name; a thing of another team answers the same."


class MethodNotAllowed(CygniError):
    """This path does not take this method."""

    status = 405
    code = "method_not_allowed"
    hint = "The Allow header lists the methods of this path."


class Conflict(CygniError):
    """The state of things forbids this."""

    status = 409
    code = "conflict"


class NameTaken(Conflict):
    """This name is taken."""

    code = "name_taken"
    hint = "Choose another name."


class InvalidState(Conflict):
    """This is not possible in the present state."""

    code = "invalid_state"


class InUse(Conflict):
    """This is in use."""

    code = "in_use"


class IdempotencyInProgress(Conflict):
    """A request with this Idempotency-Key is still running."""

    code = "idempotency_in_progress"
    retryable = True
    hint = "Wait a second and send the same request again."


class SecretNotReplayable(Conflict):
    """This request succeeded before, and its secret is no longer kept."""

    code = "secret_not_replayable"
    hint = "Rotate the resource in details.resourceId to get a new secret."


class Gone(CygniError):
    """This was here and is gone for good."""

    status = 410
    code = "gone"


class PreconditionFailed(CygniError):
    """Somebody changed this since you read it."""

    status = 412
    code = "precondition_failed"
    hint = "Read it again, apply your change to what you see, and send the new ETag in If-Match."


class PayloadTooLarge(CygniError):
    """The body is larger than this route takes."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(CygniError):
    """This route does not take this Content-Type."""

    status = 415
    code = "unsupported_media_type"
    hint = "Send Content-Type: application/json."


class IdempotencyKeyReused(CygniError):
    """This Idempotency-Key was used for another request."""

    status = 422
    code = "idempotency_key_reused"
    hint = "Use a new key for a new request; repeat a key only with the same query and body."


class RateLimited(CygniError):
    """Too many requests."""

    status = 429
    code = "rate_limited"
    retryable = True
    hint = "Wait for the seconds in Retry-After. GET /v1/rate-limit shows what is left and is free."


class InternalError(CygniError):
    """Something failed on our side; nothing was changed."""

    hint = "Try again. If it stays, give the request id to whoever runs this installation: it is in the server's log."


class Unavailable(CygniError):
    """The platform cannot answer at the moment."""

    status = 503
    code = "unavailable"
    retryable = True
    hint = "Try again in a few seconds."
