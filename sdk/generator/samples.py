"""One runnable sample of each method in each language, with what the method may answer: docs/api-reference.md."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .ir import Api, Const, Field, ListOf, MapOf, Method, Nullable, Ref, Scalar, Type

if TYPE_CHECKING:
    from .emit import Language

_PAGES = "docs/reference"
_TEXTS = {
    "projectId": "shop",
    "name": "production",
    "environment": "production",
    "type": "web",
    "key": "DATABASE_URL",
}


@dataclass(frozen=True)
class Arguments:
    """What a sample calls a method with, by wire names; `ids` in the order of the path."""

    ids: Sequence[str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


def arguments(api: Api, method: Method) -> Arguments:
    """The example of the document, or else a value for what is required."""
    body = dict(method.example or {})
    for field in api.body_fields(method):
        if field.required and field.name not in body:
            body[field.name] = _value(api, field.type, field)
    return Arguments(
        ids=[_TEXTS.get(param.name, f"{param.name.removesuffix('Id')}_…") for param in method.path_params],
        query={param.name: _TEXTS.get(param.name, "…") for param in method.query if param.required},
        body=body,
    )


def curl(api: Api, method: Method) -> str:
    """The call without any SDK."""
    given = arguments(api, method)
    path = method.path
    for param, value in zip(method.path_params, given.ids, strict=True):
        path = path.replace(f"{{{param.wire}}}", value)
    url = f"$CYGNI_API_URL{path.removeprefix('/v1')}"
    wires = {param.name: param.wire for param in method.query}
    if given.query:
        url += "?" + "&".join(f"{wires[name]}={value}" for name, value in given.query.items())
    parts = ["curl" + (" -N" if method.answer.kind in ("sse", "bytes") else "")]
    if method.http_method != "GET":
        parts[0] += f" -X {method.http_method}"
    parts[0] += f' "{url}"'
    if not method.is_public:
        parts.append('-H "Authorization: Bearer $CYGNI_API_KEY"')
    if method.media:
        parts += [f'-H "Content-Type: {method.media[0]}"', "--data-binary @archive.tar.gz"]
    elif method.body:
        parts += [
            '-H "Content-Type: application/json"',
            f"-d {shlex.quote(json.dumps(given.body, ensure_ascii=False))}",
        ]
    return " \\\n  ".join(parts)


def pages(api: Api, languages: Sequence[Language]) -> dict[str, str]:
    """Path from the root of the repository → Markdown."""
    found = {f"{_PAGES}/README.md": _index(api)}
    for service in api.services:
        if service.methods:
            text = f"{_made()}# {service.name}\n"
            text += "".join(_section(api, method, languages) for method in service.methods)
            found[f"{_PAGES}/{service.name}.md"] = text
    return found


def differences(api: Api, languages: Sequence[Language]) -> list[str]:
    """The pages that are stale, missing or no longer made."""
    root = _root()
    made = pages(api, languages)
    stale = [path for path, text in made.items() if not (root / path).is_file() or (root / path).read_text() != text]
    gone = [f"{_PAGES}/{path.name}" for path in (root / _PAGES).glob("*.md") if f"{_PAGES}/{path.name}" not in made]
    return sorted(stale + gone)


def write(api: Api, languages: Sequence[Language]) -> list[str]:
    """Make the pages so. Returns the paths that changed."""
    changed, made = differences(api, languages), pages(api, languages)
    for path in changed:
        target = _root() / path
        if path in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path])
        else:
            target.unlink()
    return changed


def _root() -> Any:
    from .emit import SDK  # noqa: PLC0415 - languages import this module

    return SDK.parent


def _made() -> str:
    return "<!-- Made from openapi.json by sdk/generator: run `make sdk`. -->\n\n"


def _index(api: Api) -> str:
    text = f"{_made()}# API reference\n\nEvery operation, with a sample in each language. The samples read "
    text += "`CYGNI_API_KEY` and `CYGNI_API_URL` (which ends in `/v1`) from the environment. "
    text += "[How the API speaks](../api.md) holds for all of them.\n"
    for service in api.services:
        if service.methods:
            text += f"\n**[{service.name}]({service.name}.md)**\n\n"
            for method in service.methods:
                text += f"- [{method.id}]({service.name}.md#{method.id.lower().replace('.', '')}): {method.summary}\n"
    return text


def _section(api: Api, method: Method, languages: Sequence[Language]) -> str:
    text = f"\n## {method.id}\n\n`{method.http_method} {method.path}`"
    text += f" · needs `{method.scope}`" if method.scope else " · public" if method.is_public else " · any token"
    text += f"\n\n{method.summary}\n"
    text += _table("In the path", [(p.wire, p.type, True, p.doc) for p in method.path_params])
    text += _table("In the query", [(p.wire, p.type, p.required, p.doc) for p in method.query])
    text += _table("In the body", [(f.name, f.type, f.required, _doc(f)) for f in api.body_fields(method)])
    text += f"\n**Answers** `{method.answer.status}`{_answer(method)}\n"
    text += f"\n<details open><summary>Copy as curl</summary>\n\n```sh\n{curl(api, method)}\n```\n\n</details>\n"
    for language in languages:
        sample = language.sample(api, method).rstrip()
        text += f"\n<details><summary>Copy as {language.title}</summary>\n"
        text += f"\n```{language.fence}\n{sample}\n```\n\n</details>\n"
    errors = "".join(
        f"| {error.status} | {', '.join(f'`{code}`' for code in error.codes)} |\n" for error in method.errors
    )
    return text + (f"\n| Error | code |\n|---|---|\n{errors}" if errors else "")


def _table(title: str, rows: Sequence[tuple[str, Type, bool, str]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"| `{name}` | {said(kind)} | {'yes' if must else ''} | {doc} |\n" for name, kind, must, doc in rows
    )
    return f"\n| {title} | type | required | |\n|---|---|---|---|\n{lines}"


def _doc(field: Field) -> str:
    default = f"Default `{json.dumps(field.default)}`." if field.has_default and field.default is not None else ""
    return " ".join(part for part in (field.doc, default) if part)


def _answer(method: Method) -> str:
    return {
        "model": f" {method.answer.model}",
        "page": f" a page of {method.answer.model}",
        "none": "",
        "sse": f" server-sent events, each a {method.answer.model}",
        "bytes": " bytes",
        "document": " a JSON document without an envelope",
    }[method.answer.kind]


def said(kind: Type) -> str:
    """A type in words for people."""
    match kind:
        case Scalar(name):
            return name
        case Const(value):
            return f"`{value}`"
        case Ref(name):
            return name
        case ListOf(item):
            return f"list of {said(item)}"
        case MapOf(value):
            return f"map of {said(value)}"
        case Nullable(inner):
            return f"{said(inner)} or null"


def _value(api: Api, kind: Type, field: Field) -> Any:
    match kind:
        case Scalar("string"):
            return _TEXTS.get(field.name, "…")
        case Scalar("integer" | "number"):
            return 1
        case Scalar("boolean"):
            return True
        case Scalar("time"):
            return "2030-01-01T00:00:00Z"
        case Const(value):
            return value
        case ListOf(item):
            return [_value(api, item, field)]
        case Ref(name) if name in api.enums:
            return api.enums[name].values[0]
        case Ref(name) if name in api.models:
            return dict(_required(api, name))
        case Nullable():
            return None
        case _:
            return {}


def _required(api: Api, model: str) -> Iterator[tuple[str, Any]]:
    for field in api.models[model].fields:
        if field.required:
            yield field.name, _value(api, field.type, field)
