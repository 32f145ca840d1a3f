"""Ruby: a class a model and a noun, keyword arguments, and the signatures of all of it in RBS."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import Any

from ... import emit, samples
from ...ir import Api, ListOf, Method, Nullable, Ref, Type
from . import types


def render(api: Api) -> emit.Files:
    """Path below sdk/ruby → source."""
    jinja = emit.templates(
        Path(__file__).parent / "templates",
        rb=types.name,
        value_of=types.value_of,
        attribute=types.attribute,
        literal=types.literal,
        words=_words,
        comment=_comment,
        millis=_grouped,
    )
    made: dict[str, Any] = {
        "api": api,
        "hint": partial(types.hint, api),
        "reader": partial(types.reader, api),
        "table": partial(types.table, api),
        "url": _url,
        "arguments": partial(_arguments, api),
        "given": partial(_given, api),
        "result": _result,
        "doc": partial(_doc, api),
    }
    jinja.globals.update(made)
    files = {
        "lib/cygni/behavior.rb": "behavior.rb.j2",
        "lib/cygni/models.rb": "models.rb.j2",
        "lib/cygni/inputs.rb": "inputs.rb.j2",
        "lib/cygni/nouns.rb": "nouns.rb.j2",
        "sig/cygni/models.rbs": "models.rbs.j2",
        "sig/cygni/resources.rbs": "resources.rbs.j2",
    }
    found = {path: jinja.get_template(template).render() for path, template in files.items()}
    for service in api.services:
        source = jinja.get_template("resource.rb.j2").render(service=service)
        found[f"lib/cygni/resources/{types.name(service.name)}.rb"] = source
    return found


def sample(api: Api, method: Method) -> str:
    """One program."""
    given = samples.arguments(api, method)
    parts = [types.literal(value) for value in given.ids]
    if method.media:
        parts.append('File.binread("archive.tar.gz")')
        parts.append(f"content_type: {types.literal(method.media[0])}")
    fields = {field.name: field.type for field in api.body_fields(method)}
    for name, value in {**given.query, **given.body}.items():
        parts.append(f"{types.name(name)}: {_source(api, fields.get(name), value)}")
    inside = ", ".join(parts)
    if len(inside) > 60:
        inside = "\n" + ",\n".join(f"  {part}" for part in parts) + "\n"
    call = f"client.{types.name(method.noun)}.{types.name(method.verb)}{f'({inside})' if inside else ''}"
    head = 'require "cygni"\n\nclient = Cygni::Client.new\n'
    match method.answer.kind:
        case "page":
            word = types.name(method.answer.model)
            return f"{head}{call}.each {{ |{word}| p {word} }}\n"
        case "sse":
            return f"{head}{call}.each {{ |event| p event.data }}\n"
        case "bytes":
            return f"{head}{call} {{ |piece| $stdout.write(piece) }}\n"
        case "none":
            return f"{head}{call}\n"
        case _:
            return f"{head}p {call}\n"


def _source(api: Api, kind: Type | None, value: Any) -> str:
    """A body's value: with symbols where it has fields, with texts where the keys are the user's own."""
    match kind:
        case Ref(ref) if ref in api.models and isinstance(value, dict):
            fields = {field.name: field.type for field in api.models[ref].fields}
            pairs = [f"{types.name(key)}: {_source(api, fields.get(key), each)}" for key, each in value.items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case ListOf(inner) if isinstance(value, list):
            return "[" + ", ".join(_source(api, inner, each) for each in value) + "]"
        case Nullable(inner):
            return _source(api, inner, value)
        case _:
            return types.literal(value)


def _url(method: Method) -> str:
    path = method.path.removeprefix("/v1") or "/"
    for param in method.path_params:
        path = path.replace(f"{{{param.wire}}}", f"#{{Encoder.segment({types.name(param.name)})}}")
    return f'"{path}"'


def _given(api: Api, method: Method) -> list[tuple[str, str, Type, bool, str]]:
    """Of each keyword argument: name, wire name, type, required, doc. Required ones first."""
    found = [(types.name(p.name), p.wire, p.type, p.required, p.doc) for p in method.query]
    found += [(types.name(f.name), f.name, f.type, f.required, f.doc) for f in api.body_fields(method)]
    return sorted(found, key=lambda each: not each[3])


def _arguments(api: Api, method: Method) -> list[str]:
    """The parameters of a method, as Ruby declares them."""
    found = [types.name(param.name) for param in method.path_params]
    found += ["content", "content_type:", "content_range: nil"] if method.media else []
    found += [f"{name}:" if required else f"{name}: OMIT" for name, _, _, required, _ in _given(api, method)]
    found += ["last_event_id: nil"] if method.answer.kind == "sse" else []
    found += ["options: {}"]
    return [*found, "&block"] if method.answer.kind == "bytes" else found


def _result(method: Method) -> str:
    """What a method gives, in RBS."""
    match method.answer.kind:
        case "model":
            return f"Models::{method.answer.model}"
        case "none":
            return "nil"
        case "document":
            return "Hash[String, untyped]"
        case "page":
            return f"List[Models::{method.answer.model}]"
        case "sse":
            return f"Stream[Models::{method.answer.model}]"
        case "bytes":
            return "void"


def _doc(api: Api, method: Method) -> str:
    """A method's comment."""
    lines = [method.summary]
    told = [(types.name(p.name), p.doc) for p in method.path_params if p.doc]
    told += [(name, doc) for name, _, _, _, doc in _given(api, method) if doc]
    if told:
        lines += ["", *(f"{name}: {doc}" for name, doc in told)]
    if method.scope:
        lines += ["", f"Needs the permission `{method.scope}`."]
    return "\n".join(lines)


def _comment(text: str, indent: int) -> str:
    """The text as a comment, folded."""
    lines: list[str] = []
    for line in text.splitlines():
        lines += textwrap.wrap(line, 110 - indent, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(f"{' ' * indent}# {line}".rstrip() for line in lines)


def _words(values: list[str]) -> str:
    return f"%w[{' '.join(values)}].freeze"


def _grouped(number: int) -> str:
    return f"{number:_}"


LANGUAGE = emit.Language("ruby", "Ruby", "ruby", render, sample, "ruby")
