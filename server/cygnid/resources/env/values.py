"""Values of variables, sealed and opened: the only place that knows how."""

import re

from cygnid.core.errors import FieldError
from cygnid.core.secrets import Secrets

MAX_BYTES = 65536
RESERVED_PREFIX = "CYGNI_"
_PURPOSE = "env value"
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def seal(secrets: Secrets, value: str) -> bytes:
    return secrets.seal(_PURPOSE, value.encode())


def clear(secrets: Secrets, sealed: bytes) -> str:
    return secrets.open(_PURPOSE, sealed).decode()


def value_hash(secrets: Secrets, project_id: str, value: str) -> str:
    """Equal for equal values of one project, and for nothing else."""
    return secrets.digest(f"env hash {project_id}", value.encode()).hex()[:16]


def key_problem(key: str) -> tuple[str, str] | None:
    """Code and reason. The platform's own variables cannot be set: an application could no longer trust them."""
    if len(key) > 255:
        return "too_long", "A key has at most 255 characters"
    if not _KEY.fullmatch(key):
        return "invalid", "Must be letters, digits and underscores, the first no digit"
    if key == "PORT" or key.startswith(RESERVED_PREFIX):
        return "not_allowed", f"PORT and names that begin with {RESERVED_PREFIX} are set by the platform"
    return None


def value_problem(value: str) -> tuple[str, str] | None:
    """What no process can be given: the kernel ends a variable at U+0000."""
    if len(value.encode()) > MAX_BYTES:
        return "too_long", f"A value has at most {MAX_BYTES} bytes"
    if "\0" in value:
        return "invalid", "Must not have the character U+0000"
    return None


def problems(key: str, value: str, path: str = "") -> list[FieldError]:
    """Both, as errors of the fields `key` and `value` below `path`."""
    found = (("key", key_problem(key)), ("value", value_problem(value)))
    return [
        FieldError(field=f"{path}{name}", code=problem[0], reason=problem[1])
        for name, problem in found
        if problem is not None
    ]
