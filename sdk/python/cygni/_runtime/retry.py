"""When a call is tried again, decided once for both clients.

`attempts` is a generator: it yields what to do next (a Call to send, a Pause to wait out), is sent what came of it,
and returns the Answer. The clients only send and wait.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from . import behavior
from .call import Call
from .errors import APIConnectionError, APIStatusError, status_error_class
from .response import error_body, open_envelope


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What came back: the whole body, or for a stream that began well the open response of the HTTP library."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    open_stream: Any = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300 or self.status == 304


Outcome = Answer | APIConnectionError

# A Call is answered by its Outcome, a Pause by nothing: one type for what is sent in cannot say that.
Attempts = Generator[Call | Pause, Any, Answer]


def attempts(call: Call) -> Attempts:
    """Send the call until it succeeds, fails for good, or has been tried often enough. Raises CygniError."""
    for retry in itertools.count():
        outcome: Outcome = yield call
        if isinstance(outcome, Answer) and outcome.is_success:
            return outcome
        error = status_error(outcome) if isinstance(outcome, Answer) else outcome
        delay = delay_before_retry(call, error, retry) if retry < call.max_retries else None
        if delay is None:
            raise error
        yield Pause(delay)
    raise AssertionError  # count() does not end


def delay_before_retry(call: Call, error: APIConnectionError | APIStatusError, retry: int) -> float | None:
    """Seconds to wait before the next attempt; None if there should be none."""
    if isinstance(error, APIConnectionError):
        return backoff(retry)
    if not _is_retried(call, error):
        return None
    if error.retry_after is None:
        return backoff(retry)
    return error.retry_after if error.retry_after <= behavior.MAX_RETRY_AFTER_SECONDS else None


def backoff(retry: int) -> float:
    """Full jitter: clients that failed together do not come back together."""
    return random.uniform(0, min(behavior.MAX_DELAY_SECONDS, behavior.FIRST_DELAY_SECONDS * 2**retry))  # noqa: S311


def status_error(answer: Answer) -> APIStatusError:
    response = open_envelope(answer.status, answer.headers, answer.content)
    body = error_body(response)
    if 300 <= answer.status < 400 and not body:
        target = answer.headers.get("location", "nowhere")
        body = {"code": "redirected", "message": f"The API redirects to {target}, where the key is not sent."}
    return status_error_class(answer.status)(response, body, retry_after=_retry_after(answer.headers))


def _is_retried(call: Call, error: APIStatusError) -> bool:
    advice = error.last_response.headers.get(behavior.ADVICE_HEADER)
    if advice in ("true", "false"):
        return advice == "true"
    if error.status in behavior.RETRIED_CODES:
        return error.code in behavior.RETRIED_CODES[error.status]
    if error.status in behavior.REPEATABLE_STATUSES:
        return call.method in behavior.REPEATABLE_METHODS or behavior.IDEMPOTENCY_HEADER in call.headers
    return error.status in behavior.RETRIED_STATUSES


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of RFC 9110 section 10.2.3."""
    text = headers.get(behavior.RETRY_AFTER_HEADER)
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - the rare form, and a slow import

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
