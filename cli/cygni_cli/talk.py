"""What is said beside the result, on stderr: live lines for a terminal, plain lines with times for a log."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .errors import CliError


def is_terminal(environ: Mapping[str, str]) -> bool:
    """Whether somebody sits there: questions may be asked and lines overwritten."""
    if environ.get("CI") or environ.get("TERM") == "dumb":
        return False
    return sys.stdin.isatty() and sys.stderr.isatty()


class Talk:
    """Same words either way. Live: colours, and a passing line that the next one overwrites."""

    def __init__(self, *, live: bool, environ: Mapping[str, str]) -> None:
        self._live = live
        self._colours = live and not environ.get("NO_COLOR")
        self._passing = False
        self._writing = threading.Lock()

    def say(self, text: str) -> None:
        self._write(text)

    def dim(self, text: str) -> None:
        self._write(self._style(text, dim=True))

    def log(self, text: str) -> None:
        """A line of somebody else's output, set apart from ours."""
        self._write(self._style(f"  │ {text}" if self._live else f"  | {text}", dim=True))

    def step(self, mark: str, name: str, note: str, took: str) -> None:
        """A finished step: ✓ done, ✗ failed, - skipped."""
        colour = {"✓": "green", "✗": "red"}.get(mark)
        head = self._style(mark, fg=colour) if colour else mark
        self._write(f"{head} {name:<8} {took:>8}  {note}".rstrip())

    def passing(self, text: str) -> None:
        """How far it is. A log has no use for it."""
        if self._live:
            with self._writing:
                click.echo(f"\r\x1b[K{text}", nl=False, err=True)
                self._passing = True

    def error(self, error: CliError) -> None:
        for line in error.lines():
            head, rest = line[:9], line[9:]
            text = self._style(head, fg="red" if head.startswith("Error") else None, bold=True) + rest
            self._write(text, stamped=False)

    def _write(self, text: str, *, stamped: bool = True) -> None:
        if stamped and not self._live:
            text = f"{datetime.now(UTC):%H:%M:%SZ} {text}"
        with self._writing:
            if self._passing:
                click.echo("\r\x1b[K", nl=False, err=True)
                self._passing = False
            click.echo(text, err=True)

    def _style(self, text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
        return click.style(text, fg=fg, bold=bold or None, dim=dim or None) if self._colours else text
