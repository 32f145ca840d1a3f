"""What the fuzzer must know beyond the document.

OWN in the environment: ids of the caller's own token, user and teams, by commas.
"""

import os
from typing import Any

import schemathesis

_OWN = set(os.environ["OWN"].split(","))
_OF_THE_STATE = {"authorization_pending", "slow_down", "access_denied", "expired_token"}
"""Said by a 400 of what the request is about, not of the request (RFC 8628, 3.5)."""


@schemathesis.serializer("application/gzip", "application/zstd", "application/zip")
def as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Nothing is done to what the caller lives by: with its token revoked all that follows would be 401."""
    return case.method.upper() == "GET" or not _OWN & {str(value) for value in (case.path_parameters or {}).values()}


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """What a schema cannot say (a cursor is of its list, a name is no reserved one) is refused by a 400 that names each
    field and what it must be; an upload that was announced as another type is refused by the type."""
    if type(failure).__name__ != "RejectedPositiveData" or response is None:
        return True
    if response.status_code == 415:
        return "allowed" not in response.json()["error"]["details"]
    error = response.json()["error"]
    named = bool(error["errors"]) and all(each["field"] and each["reason"] for each in error["errors"])
    return not (named or error["code"] in _OF_THE_STATE)
