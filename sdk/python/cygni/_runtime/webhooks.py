"""Signatures of webhooks, as Standard Webhooks 1.0.0 says: HMAC-SHA256 over `{id}.{timestamp}.{body}`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from .behavior import WEBHOOK_ID_HEADER, WEBHOOK_SIGNATURE_HEADER, WEBHOOK_TIMESTAMP_HEADER
from .errors import WebhookVerificationError
from .model import Model, UnknownEvent


def verify(body: bytes | str, headers: Mapping[str, str], secret: str, tolerance_seconds: float) -> None:
    """Raises WebhookVerificationError; the message says what was wrong, never what would have been right."""
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identity, sent_at, signatures = (
            given[name] for name in (WEBHOOK_ID_HEADER, WEBHOOK_TIMESTAMP_HEADER, WEBHOOK_SIGNATURE_HEADER)
        )
    except KeyError as missing:
        raise WebhookVerificationError(f"The header {missing.args[0]} is missing.") from None
    if not sent_at.isascii() or not sent_at.isdecimal():
        raise WebhookVerificationError(f"The header {WEBHOOK_TIMESTAMP_HEADER} is not a time in seconds.")
    if abs(time.time() - int(sent_at)) > tolerance_seconds:
        raise WebhookVerificationError("It was signed too long ago, or a clock is wrong.")
    content = body.encode() if isinstance(body, str) else body
    signed = f"{identity}.{sent_at}.".encode() + content
    expected = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest())
    # several while a secret is rotated; other versions than v1 are of other schemes
    found = [text.partition(",")[2] for text in signatures.split() if text.startswith("v1,")]
    if not any(hmac.compare_digest(expected, each.encode()) for each in found):
        raise WebhookVerificationError("No signature is of this body and this secret.")


def parse(body: bytes | str) -> Any:
    """The event; UnknownEvent for a type that this version does not know."""
    from cygni.types import EVENTS  # noqa: PLC0415 - all models, which verifying does not need

    try:
        raw = json.loads(body)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise WebhookVerificationError("The body is not a JSON object.")
    kind: type[Model] = EVENTS.get(str(raw.get("type")), UnknownEvent)
    return kind(raw)


def _key(secret: str) -> bytes:
    """`whsec_` and Base64, or any other text as it is. Raises WebhookVerificationError for an empty or broken one."""
    if not secret.startswith("whsec_"):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raise WebhookVerificationError("The secret begins with whsec_ but is not Base64 behind it.") from None
    if not key:
        raise WebhookVerificationError("The secret is empty.")
    return key
