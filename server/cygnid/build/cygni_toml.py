"""`cygni.toml`: what an app says about itself, in its own repository.

The tables of keys below are the validator, the documentation and the commented example at once:
`examples/cygni.example.toml` is `example()`, and a test compares the two.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

from cygnid.build import patterns
from cygnid.build.base import BuildFailed, HealthCheck

NAME = "cygni.toml"
PROCESS_TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
MAX_VALUE_BYTES = 65_536
"""Of a variable, as by the API, and of a command: the kernel takes no argument of more than 128 KiB (execve(2))."""


def _between(low: float, high: float) -> Callable[[Any], str]:
    return lambda value: "" if low <= value <= high else f"must be between {low} and {high}"


def _inside(value: str) -> str:
    parts = value.split("/")
    return "must be a folder or file inside the source" if value.startswith("/") or ".." in parts else ""


def _text(value: str) -> str:
    return "" if value.strip() and "\n" not in value and "\0" not in value else "must be one line, not empty"


def _path(value: str) -> str:
    return "" if re.fullmatch(r"/[!-~]*", value) else "must start with / and have no spaces"


def _protocol(value: str) -> str:
    return "" if value in ("http1", "h2c") else 'must be "http1" or "h2c"'


def _patterns(value: tuple[str, ...]) -> str:
    if len(value) > patterns.MOST:
        return f"must have at most {patterns.MOST} patterns"
    return next((problem for pattern in value if (problem := patterns.problem(pattern))), "")


@dataclass(frozen=True)
class Key:
    kind: Literal["text", "whole number", "number", "list of texts"]
    doc: str
    example: str
    """As TOML."""
    check: Callable[[Any], str]
    """What is wrong with a value, or ""."""


TOP = {
    "team": Key("text", "Which team and project the command line works on in this folder.", '"acme"', _text),
    "project": Key("text", "", '"shop"', _text),
    "environment": Key("text", "", '"production"', _text),
    "framework": Key("text", "Prefer this language or framework when several are found.", '"python"', _text),
    "root_dir": Key("text", "The folder that is built; the default is the top.", '"backend"', _inside),
    "install_command": Key("text", "Installs the dependencies; detected by default.", '"npm ci"', _text),
    "build_command": Key("text", "Builds the app; detected by default.", '"npm run build"', _text),
    "output_dir": Key("text", "Makes it a static site: the folder to serve, after the build.", '"dist"', _inside),
    "fallback": Key("text", "Static sites: the file served for unknown paths.", '"index.html"', _inside),
    "release_command": Key(
        "text",
        "Runs once for each deployment, after the build and before the start.",
        '"python manage.py migrate"',
        _text,
    ),
    "watch_paths": Key(
        "list of texts",
        "New commits that change none of these are not built; patterns as in .gitignore, from the repository's top.",
        '["backend/", "shared/", "!*.md"]',
        _patterns,
    ),
}
PROCESS = {
    "command": Key("text", "Starts it, by the shell; web finds its port in $PORT.", '"gunicorn shop.wsgi"', _text),
    "port": Key("whole number", "A fixed port, where $PORT cannot be used.", "8080", _between(1, 65535)),
    "protocol": Key("text", "What it speaks there: http1 or h2c.", '"http1"', _protocol),
    "keep_alive_seconds": Key(
        "whole number", "How long idle connections to it are kept; below its own.", "4", _between(0, 3600)
    ),
    "instances": Key("whole number", "How many run at first; scaling by the API is kept.", "2", _between(0, 100)),
    "cpu": Key("number", "Cores for each instance.", "0.5", _between(0.01, 64)),
    "memory_mb": Key("whole number", "Memory for each instance.", "256", _between(16, 1 << 20)),
}
HEALTH = {
    "path": Key("text", "Must answer 200 to 399.", '"/healthz"', _path),
    "timeout_seconds": Key("whole number", "How long the start may take.", "60", _between(1, 3600)),
    "interval_seconds": Key("whole number", "How often it is asked while live.", "10", _between(1, 3600)),
}


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """None: not said here."""

    command: str | None = None
    port: int | None = None
    protocol: Literal["http1", "h2c"] | None = None
    keep_alive_seconds: int | None = None
    instances: int | None = None
    cpu: float | None = None
    memory_mb: int | None = None
    health_check: HealthCheck | None = None


@dataclass(frozen=True, kw_only=True)
class CygniToml:
    """None: not said here."""

    team: str | None = None
    project: str | None = None
    environment: str | None = None
    framework: str | None = None
    root_dir: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    output_dir: str | None = None
    fallback: str | None = None
    release_command: str | None = None
    watch_paths: tuple[str, ...] = ()
    processes: Mapping[str, ProcessSettings] = field(default_factory=dict[str, ProcessSettings])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Defaults; the project's variables win."""


def parse(text: str) -> CygniToml:
    """Raises BuildFailed(source_invalid), naming the line and the key and what is allowed."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also of a number with thousands of digits
        raise BuildFailed(
            "source_invalid", f"{NAME} cannot be read: {error}", hint="Correct it and deploy again."
        ) from None
    reader = _Reader(text)
    top = reader.values(document, TOP, (), also=("processes", "env"))
    processes: dict[str, ProcessSettings] = {}
    for name, value in reader.table(document.get("processes", {}), ("processes",)).items():
        path = ("processes", name)
        if not PROCESS_TYPE.fullmatch(name):
            reader.fail(path, "is no process type: letters, digits, - and _, at most 63")
        table = reader.table(value, path)
        settings = reader.values(table, PROCESS, path, also=("health_check",))
        if "health_check" in table:
            check_path = (*path, "health_check")
            check = reader.values(reader.table(table["health_check"], check_path), HEALTH, check_path)
            if "path" not in check:
                reader.fail(check_path, "needs a path")
            settings["health_check"] = HealthCheck(**check)
        processes[name] = ProcessSettings(**settings)
    env: dict[str, str] = {}
    for name, value in reader.table(document.get("env", {}), ("env",)).items():
        if not ENV_KEY.fullmatch(name):
            reader.fail(("env", name), "is no name of a variable: letters, digits and _, no digit first")
        if not isinstance(value, str) or "\0" in value:
            reader.fail(("env", name), "must be text in quotes")
        if len(value.encode()) > MAX_VALUE_BYTES:
            reader.fail(("env", name), f"must have at most {MAX_VALUE_BYTES} bytes")
        env[name] = value
    return CygniToml(**top, processes=processes, env=env)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def table(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(path, "must be a table")
        return cast("dict[str, Any]", value)

    def values(
        self, table: dict[str, Any], keys: Mapping[str, Key], path: tuple[str, ...], *, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The known values of the table, checked."""
        found: dict[str, Any] = {}
        for name, value in table.items():
            if name in also:
                continue
            key = keys.get(name)
            if key is None:
                self.fail((*path, name), "is unknown", hint=f"Allowed here: {', '.join([*keys, *also])}.")
            if not _is(key.kind, value):
                self.fail((*path, name), f"must be {'a ' if key.kind != 'text' else ''}{key.kind}")
            checked: Any = tuple(cast("list[str]", value)) if isinstance(value, list) else value
            if problem := key.check(checked):
                self.fail((*path, name), problem)
            found[name] = checked
        return found

    def fail(self, path: tuple[str, ...], problem: str, *, hint: str = "") -> NoReturn:
        line = self._line(path)
        where = f"{NAME} line {line}" if line else NAME
        raise BuildFailed(
            "source_invalid", f"{where}: {'.'.join(path)} {problem}.", hint=hint or f"Correct {NAME} and deploy again."
        )

    def _line(self, path: tuple[str, ...]) -> int | None:
        """The parser keeps no positions: look for the key under its table's header, as people write it."""
        header: tuple[str, ...] = ()
        for number, line in enumerate(self._text.splitlines(), 1):
            if found := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
                header = tuple(part.strip(" \"'") for part in found[1].split("."))
                names = header
            elif found := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
                names = (*header, *(part.strip(" \"'") for part in found[1].split(".")))
            else:
                continue
            if names[: len(path)] == path:
                return number
        return None


def _is(kind: str, value: Any) -> bool:
    if kind == "list of texts":
        return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value))
    accepted = {"text": str, "whole number": int, "number": (int, float)}[kind]
    return isinstance(value, accepted) and not isinstance(value, bool)


def example() -> str:
    """A file with every key and a sentence on each."""
    lines = [
        "# cygni.toml: what an app says about itself. Every key is optional; settings made by API win over this file,",
        "# this file wins over the Procfile, and both over what is detected. The build log says what came from where.",
        "",
    ]
    lines += _example_of(TOP)
    lines += ["", "# One table for each process type. The one called web is given a port and a URL.", "[processes.web]"]
    lines += _example_of(PROCESS)
    lines += ["", "# Without it: GET / answers below 500 within 60 seconds.", "[processes.web.health_check]"]
    lines += _example_of(HEALTH)
    lines += ["", "[processes.worker]", 'command = "python worker.py"']
    lines += ["", "# Variables that are not secret; the project's own win.", "[env]", 'LOG_LEVEL = "info"']
    return "\n".join(lines) + "\n"


def _example_of(keys: Mapping[str, Key]) -> list[str]:
    lines: list[str] = []
    for name, key in keys.items():
        lines += [f"# {key.doc}"] if key.doc else []
        lines.append(f"{name} = {key.example}")
    return lines
