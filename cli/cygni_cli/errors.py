"""An error is four lines: what, why, what to do, request id."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cygni import APIStatusError

FAILED, USAGE, LET_GO = 1, 2, 130


class CliError(Exception):
    """What stops a command, ready to be printed.

    what, why, fix: one line each. code: stable, for `--json`. details: more of it, for `--json` only.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str,
        fix: str,
        code: str,
        request_id: str | None = None,
        details: dict[str, Any] | None = None,
        exit_code: int = FAILED,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code
        self.request_id = request_id
        self.details = details or {}
        self.exit_code = exit_code

    def lines(self) -> list[str]:
        return [
            f"Error    {self.what}",
            f"Why      {self.why}",
            f"Do       {self.fix}",
            f"Request  {self.request_id or 'none'}",
        ]

    def as_json(self) -> dict[str, Any]:
        error = {
            "code": self.code,
            "message": self.what,
            "reason": self.why,
            "hint": self.fix,
            "details": self.details,
            "requestId": self.request_id,
        }
        return {"error": error}


class FlagNeeded(CliError):
    """Something would have to be asked, and nobody is there to answer: a script must not hang on a prompt."""

    def __init__(self, what: str, flag: str) -> None:
        super().__init__(
            f"{what}: cannot be asked, since this is not a terminal.",
            why="A prompt would block a script.",
            fix=f"Pass {flag}.",
            code="flag_needed",
            exit_code=USAGE,
        )


def explain(error: BaseException, *, where: str | None = None) -> CliError | None:
    """The error of a library as one of ours; None for a defect, which deserves its traceback.

    where: the project and environment that the command worked on, named where something was not found.
    """
    if isinstance(error, CliError):
        return error
    if isinstance(error, click.UsageError):
        return _usage_error(error)
    if isinstance(error, click.Abort):
        return CliError("Stopped.", why="Interrupted.", fix="Run it again.", code="let_go", exit_code=LET_GO)
    from cygni import APIStatusError, CygniError  # noqa: PLC0415 - a usage error needs no SDK

    if isinstance(error, APIStatusError):
        return _status_error(error, where)
    if isinstance(error, CygniError):
        return _sdk_error(error)
    if isinstance(error, OSError):
        name = str(error.filename or "the system")
        return CliError(f"{name}: {error.strerror}.", why=type(error).__name__, fix="Check the path.", code="os_error")
    return None


def _usage_error(error: click.UsageError) -> CliError:
    path = error.ctx.command_path if error.ctx else "cygni"
    return CliError(
        error.format_message(),
        why=f"{path} was called in a way it does not know.",
        fix=f"See {path} --help.",
        code="usage",
        exit_code=USAGE,
    )


def _status_error(error: APIStatusError, where: str | None) -> CliError:
    return CliError(
        error.message,
        why=_reasons(error) + (f" · {where}" if where and error.status == 404 else ""),
        # of a body's problems the API's hint speaks to programs; here they stand in the line above
        fix=_fix(error.status) if error.errors else error.hint or _fix(error.status),
        code=error.code,
        request_id=error.request_id,
        details=error.details,
    )


def _reasons(error: APIStatusError) -> str:
    fields = [f"{problem.get('field')}: {problem.get('reason')}" for problem in error.errors]
    scopes = error.details.get("requiredScopes")
    if scopes:
        fields.append(f"needs {', '.join(scopes)}")
    return " · ".join([f"{error.code} ({error.status})", *fields])


def _fix(status: int) -> str:
    if status == 401:
        if os.environ.get("CYGNI_API_KEY"):
            return "Check CYGNI_API_KEY: it was used instead of a login."
        return "Run `cygni login`."
    if status == 404:
        return "Check the name; `cygni projects` lists what you may see."
    if status == 429:
        return "Wait a minute, then run it again."
    if status >= 500:
        return "Run it again; if it stays, give the request id to whoever runs this installation."
    return "Correct it and run it again."


def _sdk_error(error: Exception) -> CliError:
    from cygni import APIConnectionError, ArchiveError, ConfigurationError  # noqa: PLC0415

    if isinstance(error, APIConnectionError):
        fix = "Run `cygni doctor`: it checks the URL, the network and the login."
        if os.environ.get("CYGNI_API_KEY") and not os.environ.get("CYGNI_API_URL"):
            fix = "Set CYGNI_API_URL too: CYGNI_API_KEY is used instead of a login, and of the URL that it kept."
        return CliError("The API did not answer.", why=str(error), fix=fix, code="no_answer")
    if isinstance(error, ArchiveError):
        fix = "Correct it, or leave it out by .cygniignore."
        return CliError("The directory cannot be packed.", why=str(error), fix=fix, code="not_packable")
    if isinstance(error, ConfigurationError):
        fix = "Run `cygni login`, or set CYGNI_API_KEY and CYGNI_API_URL."
        return CliError("There is no usable login.", why=str(error), fix=fix, code="no_login")
    return CliError(str(error), why=type(error).__name__, fix="Run it again.", code="failed")
