"""What every command needs to know: which API, which project and environment, and whether anybody can be asked."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import CliError, FlagNeeded
from .talk import Talk, is_terminal

if TYPE_CHECKING:
    from .client import Client

TOML_NAME = "cygni.toml"
DEFAULT_ENVIRONMENT = "production"


@dataclass(frozen=True)
class Place:
    """The project and environment a command works on, and who said so."""

    project: str
    environment: str
    team: str | None
    source: str

    def __str__(self) -> str:
        name = f"{self.team}/{self.project}" if self.team else self.project
        return f"{name} · {self.environment} ({self.source})"


@dataclass
class Context:
    """One call of the command line. Tests may set any of it; the client is made when first used."""

    as_json: bool = False
    interactive: bool = field(default_factory=lambda: is_terminal(os.environ))
    where: str | None = None

    @cached_property
    def talk(self) -> Talk:
        return Talk(live=self.interactive, environ=os.environ)

    @cached_property
    def client(self) -> Client:
        """Raises ConfigurationError without a login; offers one where somebody can answer."""
        from cygni import ConfigurationError  # noqa: PLC0415 - `--help` needs no SDK

        from .client import Client  # noqa: PLC0415

        try:
            return Client()
        except ConfigurationError:
            if not self.interactive or os.environ.get("CYGNI_API_KEY"):
                raise
        from .login import ask_and_keep  # noqa: PLC0415

        self.talk.say("You are not logged in.")
        ask_and_keep(self, url=None)
        return Client()

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    def place(
        self, project: str | None, environment: str | None, *, folder: Path | None = None, suggestion: str | None = None
    ) -> Place:
        """Flag, then environment, then cygni.toml, then ask; says which it took.

        folder: where to look for cygni.toml. suggestion: the answer offered for a project that may be new.
        Raises FlagNeeded where nobody can be asked.
        """
        toml = read_toml(folder or Path.cwd())
        choices = (
            ("--project", project),
            ("CYGNI_PROJECT", os.environ.get("CYGNI_PROJECT")),
            (TOML_NAME, toml.get("project")),
        )
        source, name = next(((source, name) for source, name in choices if name), ("asked", None))
        name = name or self._ask_project(suggestion)
        where = environment or os.environ.get("CYGNI_ENVIRONMENT") or toml.get("environment") or DEFAULT_ENVIRONMENT
        place = Place(name, where, os.environ.get("CYGNI_TEAM") or toml.get("team"), source)
        self.where = str(place)
        self.talk.dim(self.where)
        return place

    def ask(self, question: str, *, flag: str, default: str | None = None, hidden: bool = False) -> str:
        """Raises FlagNeeded, which names the flag to pass instead, where nobody can be asked."""
        if not self.interactive:
            raise FlagNeeded(question, flag)
        return click.prompt(question, default=default, hide_input=hidden, err=True)

    def confirm(self, question: str, *, flag: str) -> bool:
        if not self.interactive:
            raise FlagNeeded(question, flag)
        return click.confirm(question, default=True, err=True)

    def _ask_project(self, suggestion: str | None) -> str:
        if not self.interactive:
            raise FlagNeeded("The project", f'--project, set CYGNI_PROJECT, or put project = "…" into {TOML_NAME}')
        names: Sequence[str] = [project.name for project in self.client.projects.list().items]
        if names:
            self.talk.say(f"Your projects: {', '.join(names)}")
        only = names[0] if len(names) == 1 else None
        return self.ask("Project", flag="--project", default=suggestion or only)


def read_toml(folder: Path) -> dict[str, Any]:
    """The nearest cygni.toml, in this folder or above it in the same repository; {} without one.

    Raises CliError when it cannot be read.
    """
    for candidate in (folder.absolute(), *folder.absolute().parents):
        path = candidate / TOML_NAME
        if path.is_file():
            try:
                return tomllib.loads(path.read_text())
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                fix = "Correct the file and run it again."
                raise CliError(f"{path} cannot be read.", why=str(error), fix=fix, code="bad_toml") from error
        if (candidate / ".git").exists():
            break
    return {}
