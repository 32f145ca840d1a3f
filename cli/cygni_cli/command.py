"""How a command is declared: a function (ctx, arguments) that returns a Result, and where `cygni` finds it.

Modules are imported when their command runs: `cygni --help` loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.core import augment_usage_errors

from .context import Context
from .output import Feed, Result, render

Function = Callable[..., Result | Feed]


class Command(click.Command):
    """Gives its function the Context, renders what it returns, and has `--json`, whatever it does."""

    def __init__(self, *, examples: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.examples = examples
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."))

    def invoke(self, ctx: click.Context) -> int:
        context = ctx.ensure_object(Context)
        arguments = dict(ctx.params)
        context.as_json = arguments.pop("as_json")
        assert self.callback is not None
        with augment_usage_errors(ctx):
            result = self.callback(context, **arguments)
        return render(result, as_json=context.as_json, talk=context.talk)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first: most people look for one."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")
        formatter.write_paragraph()
        super().format_help(ctx, formatter)


def command(*, examples: Sequence[str]) -> Callable[[Function], click.Command]:
    """Declare a function as a command; its docstring is the help, its name is given by the table that lists it."""

    def declare(function: Function) -> click.Command:
        return click.command(cls=Command, examples=examples)(function)  # pyright: ignore[reportCallIssue, reportArgumentType]

    return declare


class LazyGroup(click.Group):
    """Knows its commands by name, place (`module:function`) and one sentence; imports one when it is called."""

    def __init__(self, *, places: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self.places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.places:
            return None
        module, _, function = self.places[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(f"cygni_cli.commands.{module}"), function)
        found.name = cmd_name
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in self.places.items()])


class NounGroup(LazyGroup):
    """`cygni projects` alone is `cygni projects list`, or another that is named."""

    def __init__(self, *, default: str = "list", **options: Any) -> None:
        super().__init__(**options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [arg for arg in args if not arg.startswith("-")]
        if not (words and words[0] in self.places) and "--help" not in args:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def in_project(function: Any) -> Any:
    """--project and --environment."""
    from .completion import environment_names, project_names  # noqa: PLC0415

    function = click.option("--environment", "-e", help="Default: production.", shell_complete=environment_names)(
        function
    )
    return click.option(
        "--project", "-p", help="Default: CYGNI_PROJECT, then cygni.toml.", shell_complete=project_names
    )(function)
