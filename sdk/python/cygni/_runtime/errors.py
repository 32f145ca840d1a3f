"""The error tree.

CygniError
├── ConfigurationError            no key, or a base URL that is none
├── ArchiveError                  a directory that cannot be deployed
├── WebhookVerificationError      a webhook that is not from whom it says
├── DeploymentFailedError         a deployment that was waited for has failed
├── WaitTimeoutError              ... or has not ended in time
├── APIConnectionError            no answer
│   └── APITimeoutError           no answer in time
└── APIStatusError                an answer that says no
├── BadRequestError           400
├── AuthenticationError       401
├── PermissionDeniedError     403
├── NotFoundError             404
├── ConflictError             409
├── UnprocessableEntityError  422
├── RateLimitError            429
└── InternalServerError       500 and above
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .behavior import ERROR_NAMES, SERVER_ERROR_NAME

if TYPE_CHECKING:
    from cygni.types import Deployment

    from .response import Response


class CygniError(Exception):
    """The root of everything this package raises by itself."""


class WebhookVerificationError(CygniError):
    """A webhook's signature is missing, too old, or not of this body and secret."""


class DeploymentFailedError(CygniError):
    """A deployment that was waited for has ended otherwise; `deployment` is what it became."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        failure = deployment.failure
        reason = f" {failure.message} {failure.hint}" if failure else ""
        super().__init__(f"The deployment {deployment.id} is {deployment.status}.{reason}")


class WaitTimeoutError(CygniError):
    """A deployment did not end in the time that was given to it; it goes on. `deployment` is how it was last seen."""

    def __init__(self, deployment: Deployment, seconds: float) -> None:
        self.deployment = deployment
        super().__init__(f"The deployment {deployment.id} is still {deployment.status} after {seconds:g} s.")


class ConfigurationError(CygniError):
    """The client cannot be made: there is no key, or the base URL is not one."""


class APIConnectionError(CygniError):
    """The API did not answer: no route, a refused or a broken connection."""


class APITimeoutError(APIConnectionError):
    """The API did not answer in time."""


class APIStatusError(CygniError):
    """The API answered with an error.

    `code` is stable and for programs, `message` says what and why, `hint` what to do next (None where nothing
    helps), `details` depends on the code, `errors` lists every invalid field. `request_id` names the call in the
    server's log. `retry_after` is in seconds, None where the answer gave none. `last_response` has the rest, its
    headers and rate limit among them.
    """

    def __init__(self, last_response: Response, error: dict[str, Any], *, retry_after: float | None) -> None:
        self.last_response = last_response
        self.status = last_response.status
        self.code: str = error.get("code") or f"http_{self.status}"
        self.message: str = error.get("message") or f"The API answered with status {self.status}."
        self.hint: str | None = error.get("hint")
        self.details: dict[str, Any] = error.get("details") or {}
        self.errors: list[dict[str, Any]] = error.get("errors") or []
        self.doc_url: str | None = error.get("docUrl")
        self.request_id = last_response.request_id
        self.retry_after = retry_after
        super().__init__(f"{self.status} {self.code}: {self.message}")


class BadRequestError(APIStatusError): ...


class AuthenticationError(APIStatusError): ...


class PermissionDeniedError(APIStatusError): ...


class NotFoundError(APIStatusError): ...


class ConflictError(APIStatusError): ...


class UnprocessableEntityError(APIStatusError): ...


class RateLimitError(APIStatusError): ...


class InternalServerError(APIStatusError): ...


_BY_STATUS: dict[int, type[APIStatusError]] = {status: globals()[name] for status, name in ERROR_NAMES.items()}
_SERVER_ERROR: type[APIStatusError] = globals()[SERVER_ERROR_NAME]


def status_error_class(status: int) -> type[APIStatusError]:
    """The class for this status; APIStatusError itself where the tree names none."""
    return _SERVER_ERROR if status >= 500 else _BY_STATUS.get(status, APIStatusError)
