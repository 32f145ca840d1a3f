"""What detectors of several languages read alike."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, cast

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import Files
from cygnid.build.detect.versions import Version

_WEB_NAMES = ("web", "server", "api", "app", "http", "main")


def any_version(_version: Version, _text: str) -> bool:
    return True


def key_of(files: Files, names: Iterable[str]) -> str:
    """Equal for equal files."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{files.read(name) or ''}\0".encode())
    return digest.hexdigest()


def json_file(files: Files, name: str) -> dict[str, Any]:
    """{} where there is none. Raises BuildFailed(source_invalid)."""
    text = files.read(name)
    return {} if text is None else _object(name, lambda: json.loads(re.sub(r"(?m)^\s*//.*$", "", text)))


def toml_file(files: Files, name: str) -> dict[str, Any]:
    """{} where there is none. Raises BuildFailed(source_invalid)."""
    text = files.read(name)
    return {} if text is None else _object(name, lambda: tomllib.loads(text))


def _object(name: str, read: Any) -> dict[str, Any]:
    try:
        value = read()
    except (ValueError, RecursionError) as error:
        raise BuildFailed(
            "source_invalid", f"{name} cannot be read: {error}", hint="Correct the file and deploy again."
        ) from None
    if not isinstance(value, dict):
        raise BuildFailed("source_invalid", f"{name} is not an object.", hint="Correct it and deploy again.")
    return cast("dict[str, Any]", value)


def table(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def first_word(files: Files, name: str) -> str | None:
    """Of the first line that is no comment."""
    for line in (files.read(name) or "").splitlines():
        if (words := line.split()) and not words[0].startswith("#"):
            return words[0]
    return None


def web_program(programs: Sequence[str], own: str) -> str:
    """The one of several programs that is most likely the web process: the project's own name, else a usual name."""
    return next((name for name in (own, *_WEB_NAMES) if name in programs), programs[0])


def lacking(manifest: str, name: str, lock: str, command: str) -> BuildFailed:
    return BuildFailed(
        "source_invalid",
        f"{manifest} asks for {name}, which {lock} does not have: one is older than the other.",
        hint=f"Run `{command}`, commit both files, and deploy again.",
    )
