"""Writes the pages of docs/ that are made from the code: `python scripts/docs.py`; with `--check` it only compares."""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from pkgutil import walk_packages
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from cygni_cli.command import Command, LazyGroup
from cygni_cli.main import root
from cygnid import resources
from cygnid.build import cygni_toml
from cygnid.build.cygni_toml import Key
from cygnid.core.errors import CygniError
from cygnid.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
_MADE = "<!-- Made from the code by scripts/docs.py: edit {source}, then run `make docs`. -->\n\n"


def pages() -> dict[str, str]:
    """File name in docs/ → content, of every page that is made."""
    return {
        "cygni-toml.md": cygni_toml_page(),
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "cli.md": cli_page(),
    }


def cygni_toml_page() -> str:
    text = _MADE.format(source="server/cygnid/build/cygni_toml.py")
    text += "# cygni.toml\n\nWhat an app says about itself, in its own repository. Every key is optional. A key that "
    text += "is not listed here is refused when you deploy, with its line.\n\n"
    text += "Settings made by API win over this file, this file wins over the `Procfile` and `app.json`, and all win "
    text += "over what is detected. The build log says what came from where. The file is read at the top of what you "
    text += "deploy; with `rootDir` set by API, in that folder.\n\n## At the top\n\n"
    text += _keys(cygni_toml.TOP)
    text += "\n## [processes.NAME]\n\nOne table for each process type. The one called `web` is given a port and the "
    text += "URL; others, such as `worker`, have none.\n\n"
    text += _keys(cygni_toml.PROCESS)
    text += "\n## [processes.NAME.health_check]\n\nWithout it: `GET /` answers below 500 within 60 seconds.\n\n"
    text += _keys(cygni_toml.HEALTH)
    text += '\n## [env]\n\nVariables that are not secret, as `NAME = "text"`. The project\'s own win.\n\n'
    return text + f"## Everything in one file\n\n```toml\n{cygni_toml.example()}```\n"


def _keys(keys: Mapping[str, Key]) -> str:
    text = "| key | takes | | example |\n|---|---|---|---|\n"
    for name, key in keys.items():
        text += f"| `{name}` | {key.kind} | {key.doc} | `{key.example}` |\n"
    return text


def settings_page() -> str:
    text = _MADE.format(source="server/cygnid/settings.py")
    text += "# Settings\n\nEach is an environment variable, read when `cygnid up` starts. A value that cannot be read "
    text += "stops the start and names the variable. With systemd they stand in `/etc/cygni/environment`.\n\n"
    text += "| variable | takes | default | |\n|---|---|---|---|\n"
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        kind, meta = get_args(hints[field.name])
        default = f"`{field.default}`" if field.default not in (None, "") else "none"
        text += f"| `CYGNI_{field.name.upper()}` | {_kind(kind, meta)} | {default} | {meta.description} |\n"
    text += "\n`up` decides `CYGNI_HOME`, `CYGNI_DATABASE_URL` (when the database is embedded), `CYGNI_API_URL`, "
    text += "`CYGNI_APPS_URL`, `CYGNI_APPS_PORT`, `CYGNI_UID_BASE` and `CYGNI_INSTALLATION_ID` for the processes it "
    return text + "starts, from its options and the data folder.\n"


def _kind(kind: Any, meta: msgspec.Meta) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    name = {Path: "folder", str: "text", int: "whole number", float: "number"}[kind]
    limits = (("≥", meta.ge), (">", meta.gt), ("≤", meta.le))
    return " ".join([name, *(f"{sign} {limit}" for sign, limit in limits if limit is not None)])


def errors_page() -> str:
    for module in walk_packages(resources.__path__, "cygnid.resources."):
        if module.name.endswith(".schemas"):
            import_module(module.name)
    text = _MADE.format(source="the docstrings of the error classes, in core/errors.py and the nouns' schemas.py")
    text += "# Errors\n\nEvery error answers in one form (see [api.md](api.md)). Programs decide by `code`; `message` "
    text += "and `hint` are for people and may change.\n\n"
    text += "| status | code | message | what next | again? |\n|--:|---|---|---|---|\n"
    seen = set[str]()
    for kind in sorted(set(_errors(CygniError)), key=lambda kind: (kind.status, kind.code, kind.__name__)):
        message = " ".join((kind.__doc__ or "").split())
        again = "yes" if kind.retryable else ""
        text += f"| {kind.status} | {_code(kind.code, seen)} | {message} | {kind.hint or ''} | {again} |\n"
    text += "\nThe last column: the same request may succeed later, and the SDKs repeat it by themselves.\n"
    text += "\n## Why a deployment failed\n\nThe `failure.code` of a deployment whose status is `failed`; `message`, "
    text += "`hint` and `logExcerpt` beside it say more.\n\n| code | what happened | look at |\n|---|---|---|\n"
    for line in (DOCS / "deploy" / "README.md").read_text().splitlines():
        if line.startswith("| `"):
            text += re.sub(
                r"`([a-z_]+)`", lambda found: _code(found[1], seen), line, count=line.split(" | ")[0].count("`") // 2
            )
            text += "\n"
    return text


def _code(code: str, seen: set[str]) -> str:
    """The code, as what `docUrl` leads to where it is the first of its kind."""
    anchor = "" if code in seen else f'<a id="{code}"></a>'
    seen.add(code)
    return f"{anchor}`{code}`"


def cli_page() -> str:
    text = _MADE.format(source="the commands in cli/cygni_cli/commands/")
    text += "# The command line\n\n`cygni` uses nothing but [the API](api.md). Every command takes `--json`: stdout is "
    text += "then one JSON value (one a line for `logs -f`), also when it fails. What is said beside the result is on "
    text += "stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 let go with Ctrl-C.\n\nThe project is "
    text += (
        '`--project`, else `CYGNI_PROJECT`, else `project = "…"` in `cygni.toml`, else you are asked; the environment '
    )
    text += "likewise, else `production`. The login is `CYGNI_API_KEY` with `CYGNI_API_URL`, else what `cygni login` "
    text += "kept.\n"
    for path, command in _commands(root, "cygni"):
        usage = " ".join([path, *command.collect_usage_pieces(click.Context(command))])
        examples = "\n".join(command.examples)
        text += f"\n## {path}\n\n{cleandoc(command.help or '')}\n\n```text\n{examples}\n```\n\n`{usage}`\n"
        records = [param.get_help_record(click.Context(command)) for param in command.params]
        options = [f"| `{name.replace('|', ' or ')}` | {doc} |" for name, doc in filter(None, records) if doc]
        text += "\n| option | |\n|---|---|\n" + "\n".join(options) + "\n"
    return text


def _commands(group: LazyGroup, path: str) -> Iterator[tuple[str, Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if isinstance(found, LazyGroup):
            yield from _commands(found, f"{path} {name}")
        elif isinstance(found, Command):
            yield f"{path} {name}", found


def _errors(kind: type[CygniError]) -> Iterator[type[CygniError]]:
    """Of the core and of the nouns' schemas, where errors belong."""
    for sub in kind.__subclasses__():
        if sub.__module__ == "cygnid.core.errors" or sub.__module__.endswith(".schemas"):
            yield sub
        yield from _errors(sub)


def main(arguments: list[str]) -> int:
    stale = [name for name, text in pages().items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    if arguments == ["--check"]:
        print("\n".join(f"docs/{name} is stale: run `make docs`" for name in stale) or "up to date")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages()[name])
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
