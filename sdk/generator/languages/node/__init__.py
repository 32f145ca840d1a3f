"""TypeScript for Node and browsers: interfaces for the wire, a class for each noun, and the client that has them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, cast

from ... import names, samples
from ...emit import Files, Language, templates
from ...ir import Api, Const, Enum, Field, ListOf, MapOf, Method, Nullable, Param, Ref, Scalar, Service, Type

_SCALARS = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "time": "string",
    "any": "unknown",
}
_HELPERS = {"deployments": "DeploymentHelpers", "uploads": "UploadHelpers", "webhooks": "WebhookHelpers"}
_BODY_NAME = "content"


def type_text(kind: Type) -> str:
    match kind:
        case Scalar(name):
            return _SCALARS[name]
        case Const(value):
            return json.dumps(value)
        case Ref(name):
            return name
        case ListOf(item):
            text = type_text(item)
            return f"({text})[]" if " " in text else f"{text}[]"
        case MapOf(value):
            return f"Record<string, {type_text(value)}>"
        case Nullable(inner):
            return f"{type_text(inner)} | null"


def refs(kind: Type) -> set[str]:
    """The named types that a type speaks of."""
    match kind:
        case Ref(name):
            return {name}
        case ListOf(inner) | MapOf(inner) | Nullable(inner):
            return refs(inner)
        case _:
            return set()


def enum_text(enum: Enum) -> str:
    """An output's may be a value of a newer server: any text, without losing the known ones in an editor."""
    values = [json.dumps(value) for value in enum.values]
    return " | ".join([*values, "(string & {})"] if enum.is_output else values)


def doc(text: str, indent: int = 0) -> str:
    """A comment, or nothing; lines of at most 116 characters."""
    if not text:
        return ""
    margin = " " * indent
    lines: list[str] = [""]
    for word in text.replace("*/", "*\\/").split():
        if len(lines[-1]) + len(word) > 112 - indent:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) == 1:
        return f"{margin}/** {lines[0]} */\n"
    return f"{margin}/**\n" + "".join(f"{margin} * {line}\n" for line in lines) + f"{margin} */\n"


def field_text(field: Field | Param) -> str:
    """What may be left out may also be undefined, so that callers need not build objects by parts."""
    text = type_text(field.type)
    return f"{field.name}: {text};" if field.required else f"{field.name}?: {text} | undefined;"


def params_name(method: Method) -> str:
    return names.pascal(method.noun) + names.pascal(method.verb) + "Params"


def params_type(method: Method) -> str | None:
    """The type of the named arguments, None for a method that has none."""
    if method.query or method.media:
        return params_name(method)
    return method.body


def is_optional(api: Api, method: Method) -> bool:
    return not any(one.required for one in (*method.query, *api.body_fields(method))) and not method.media


def arguments(api: Api, method: Method) -> str:
    found = [f"{param.name}: string" for param in method.path_params]
    if method.media:
        found.append(f"{_BODY_NAME}: Uint8Array")
    if kind := params_type(method):
        found.append(f"params: {kind} = {{}}" if is_optional(api, method) else f"params: {kind}")
    options = "StreamOptions" if method.answer.kind == "sse" else "RequestOptions"
    return ", ".join([*found, f"options?: {options}"])


def returned(method: Method) -> str:
    model = method.answer.model
    match method.answer.kind:
        case "model":
            return f"Promise<WithResponse<{model}>>"
        case "page":
            return f"List<{model}>"
        case "sse":
            return f"Stream<{model}>"
        case "none":
            return "Promise<void>"
        case "document":
            return "Promise<WithResponse<Record<string, unknown>>>"
        case "bytes":
            return "AsyncGenerator<Uint8Array, void, void>"


def call(method: Method) -> str:
    """The expression that makes the call."""
    model = method.answer.model
    function = {
        "model": f"call<{model}>",
        "page": f"list<{model}>",
        "sse": f"stream<{model}>",
        "none": "callForNothing",
        "bytes": "bytes",
    }
    function["document"] = "call<Record<string, unknown>>"
    parts = [f'method: "{method.http_method}"', f"path: {path_text(method)}"]
    if method.media:
        parts += [_BODY_NAME, "headers: mediaHeaders(params)"]
    elif method.body and method.query:
        parts += [f"query: {{ {', '.join(param.name for param in method.query)} }}", "body"]
    elif method.body:
        parts.append("body: params")
    elif method.query:
        parts.append("query: params")
    return f"this.caller.{function[method.answer.kind]}({{ {', '.join(parts)} }}, options)"


def path_text(method: Method) -> str:
    path = method.path
    for param in method.path_params:
        path = path.replace(f"{{{param.wire}}}", f"${{segment({param.name})}}")
    return f"`{path}`" if method.path_params else json.dumps(path)


def imported(service: Service) -> list[str]:
    """The types that a noun's file names."""
    found: set[str] = set()
    for method in service.methods:
        found |= {method.answer.model, method.body or ""}
        found |= {name for param in method.query for name in refs(param.type)}
    return sorted(found - {""})


def runtime_types(service: Service) -> list[tuple[str, str]]:
    """Names and modules of the runtime that a noun's file uses as types."""
    text = " ".join(returned(method) for method in service.methods)
    kinds = {method.answer.kind for method in service.methods}
    options = {"StreamOptions" if kind == "sse" else "RequestOptions" for kind in kinds}
    found = [(", ".join(sorted(options)), "call")]
    places = (("List", "paging"), ("WithResponse", "response"), ("Stream", "stream"))
    return found + [(name, module) for name, module in places if f"{name}<" in text]


def wire_names(api: Api) -> dict[str, str]:
    """How the query says what a method calls otherwise: createdAtGte → createdAt[gte]."""
    found: dict[str, str] = {}
    for param in (param for method in api.methods for param in method.query if param.name != param.wire):
        if found.setdefault(param.name, param.wire) != param.wire:
            raise ValueError(f"{param.name} is both {found[param.name]} and {param.wire}")
    return dict(sorted(found.items()))


def render(api: Api) -> Files:
    environment = templates(
        Path(__file__).parent / "templates",
        type=type_text,
        enum=enum_text,
        doc=doc,
        field=field_text,
        params_name=params_name,
        returned=returned,
        call=call,
        imported=imported,
        runtime_types=runtime_types,
        args=partial(arguments, api),
        pretty=partial(json.dumps, indent=2),
    )
    shared: dict[str, Any] = {"api": api, "wire_names": wire_names(api), "helper_classes": _HELPERS}
    nouns = [service for service in api.services if service.methods]
    files = {
        f"src/{name}.ts": environment.get_template(f"{name}.ts.j2").render(shared)
        for name in ("types", "params", "behavior")
    }
    files["src/client.ts"] = environment.get_template("client.ts.j2").render(shared, nouns=nouns)
    files["src/resources/index.ts"] = environment.get_template("index.ts.j2").render(shared, nouns=nouns)
    resource = environment.get_template("resource.ts.j2")
    for service in nouns:
        files[f"src/resources/{names.kebab(service.name)}.ts"] = resource.render(shared, service=service)
    return files


def sample(api: Api, method: Method) -> str:
    """One program."""
    example = samples.arguments(api, method)
    given = [_literal(value) for value in example.ids]
    if method.media:
        given += ["content", f'{{ contentType: "{method.media[0]}" }}']
    elif fields := {**example.query, **example.body}:
        given.append(_literal(fields))
    line = f"client.{method.noun}.{method.verb}({', '.join(given)})"
    head = 'import { CygniClient } from "@cygni/sdk";\n\nconst client = new CygniClient();\n'
    if method.media:
        read = 'const content = await readFile("archive.tar.gz");\n'
        head = f'import {{ readFile }} from "node:fs/promises";\n{head}{read}'
    match method.answer.kind:
        case "page" | "sse":
            return f"{head}for await (const each of {line}) {{\n  console.log(each);\n}}\n"
        case "bytes":
            return f"{head}for await (const piece of {line}) {{\n  process.stdout.write(piece);\n}}\n"
        case "none":
            return f"{head}await {line};\n"
        case _:
            return f"{head}console.log(await {line});\n"


def _literal(value: Any) -> str:
    """JSON with the spaces of TypeScript, keys bare where they may be."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        inside = ", ".join(
            f"{name if name.isidentifier() else json.dumps(name)}: {_literal(one)}" for name, one in pairs
        )
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_literal(one) for one in cast('list[Any]', value))}]"
    return json.dumps(value, ensure_ascii=False)


LANGUAGE = Language(name="node", title="Node", folder="node", render=render, sample=sample, fence="typescript")
