from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

import click

from cygni_cli.command import command
from cygni_cli.context import Context
from cygni_cli.output import Result


@command(
    examples=[
        "cygni api GET /v1/me",
        "cygni api GET /v1/deployments -f projectId=shop -f status=failed",
        "cygni api PATCH /v1/projects/shop -f name=store",
        "cygni api PATCH /v1/projects/shop/processes/web -F instances=3",
        "cygni api PUT /v1/env/bulk --input variables.json",
    ]
)
@click.argument("method")
@click.argument("path")
@click.option("-f", "texts", metavar="KEY=TEXT", multiple=True, help="A field; of GET and DELETE, in the query.")
@click.option("-F", "values", metavar="KEY=JSON", multiple=True, help="The same with a number, true, null, [ ], { }.")
@click.option("--input", "source", type=click.File("rb"), help="A file with the JSON body; - is stdin.")
def api(
    ctx: Context,
    *,
    method: str,
    path: str,
    texts: tuple[str, ...],
    values: tuple[str, ...],
    source: BinaryIO | None,
) -> Result:
    """Call any route of the API, with the login and the retries of all other commands, and print its data."""
    fields: dict[str, Any] = dict(map(_field, texts)) | {key: _json(text) for key, text in map(_field, values)}
    body = _json(source.read().decode()) if source else None
    in_query = source is not None or method.upper() in ("GET", "HEAD", "DELETE")
    if not path.startswith("/"):
        raise click.UsageError(f"{path!r} is not a path of the API; it looks like /v1/projects.")
    answer = ctx.client.request(
        method, path, query=fields if in_query else None, json=body if in_query else fields or None
    )
    for warning in answer.warnings:
        ctx.talk.say(f"Note: {warning.message}")
    if answer.data is None and answer.content and not ctx.as_json:
        sys.stdout.buffer.write(answer.content)
        return Result(None)
    if answer.pagination and answer.pagination.next_cursor:
        ctx.talk.say(f"There is more: -f cursor={answer.pagination.next_cursor}")
    data = answer.data if answer.data is not None else answer.content.decode(errors="replace") or None
    return Result(data, [] if data is None else [json.dumps(data, indent=2, ensure_ascii=False)])


def _field(text: str) -> tuple[str, str]:
    key, has_value, value = text.partition("=")
    if not has_value:
        raise click.UsageError(f"{text!r} is not KEY=VALUE.")
    return key, value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{text[:60]!r} is not JSON: {error}") from error
