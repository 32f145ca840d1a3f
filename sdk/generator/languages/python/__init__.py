"""Python: models read from the wire when they are looked at, inputs as TypedDicts, both clients from one template."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from ... import emit, samples
from ...ir import Api, ListOf, Method, Nullable, Ref, Service, Type
from ...names import pascal
from . import types

_RUFF = str(Path(sys.executable).parent / "ruff")
_AS = ["--isolated", "--target-version", "py310"]


def render(api: Api) -> emit.Files:
    """Path below sdk/python → source."""
    jinja = emit.templates(Path(__file__).parent / "templates", py=types.name, literal=types.literal)
    made: dict[str, Any] = {
        "api": api,
        "hint": partial(types.hint, api),
        "decoder": partial(types.decoder, api),
        "encoder": partial(types.encoder, api),
        "url": _url,
        "arguments": partial(_arguments, api),
    }
    jinja.globals.update(made)
    files = {
        "cygni/_runtime/behavior.py": jinja.get_template("behavior.py.j2").render(),
        "cygni/_client.py": jinja.get_template("client.py.j2").render(is_async=False),
        "cygni/_async_client.py": jinja.get_template("client.py.j2").render(is_async=True),
        "cygni/types.py": jinja.get_template("types.py.j2").render(),
        "cygni/_encoders.py": jinja.get_template("encoders.py.j2").render(inputs=_inputs(api)),
        "cygni/resources/__init__.py": jinja.get_template("package.py.j2").render(doc="One module a noun."),
        "cygni/async_resources/__init__.py": jinja.get_template("package.py.j2").render(doc="As resources, awaited."),
    }
    for service in api.services:
        for is_async in (False, True):
            folder = "async_resources" if is_async else "resources"
            source = jinja.get_template("resource.py.j2").render(
                service=service, is_async=is_async, **_needs(api, service)
            )
            files[f"cygni/{folder}/{types.name(service.name)}.py"] = source
    return files


def formatted(files: emit.Files) -> emit.Files:
    """Unused imports removed, then ruff's form: the templates need not know which noun uses what."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        checked = ["--select", "F401,I", "--fix", "--silent", "--no-cache", *_AS]
        subprocess.run([_RUFF, "check", *checked, "."], cwd=root, check=True)
        subprocess.run(
            [_RUFF, "format", "--silent", "--no-cache", "--line-length", "120", *_AS, "."], cwd=root, check=True
        )
        return {name: (root / name).read_text() for name in files}


def sample(api: Api, method: Method) -> str:
    """One program."""
    given = samples.arguments(api, method)
    parts = [types.literal(value) for value in given.ids]
    if method.media:
        parts.append('Path("archive.tar.gz").read_bytes()')
        parts.append(f'content_type="{method.media[0]}"')
    fields = {field.name: field.type for field in api.body_fields(method)}
    for name, value in {**given.query, **given.body}.items():
        parts.append(f"{types.name(name)}={types.literal(_snaked(api, fields.get(name), value))}")
    inside = ", ".join(parts)
    if len(inside) > 60:
        inside = "\n" + "".join(f"        {part},\n" for part in parts) + "    "
    call = f"client.{types.name(method.noun)}.{types.name(method.verb)}({inside})"
    head = "from pathlib import Path\n\n" if method.media else ""
    head += "from cygni import CygniClient\n\nwith CygniClient() as client:\n"
    match method.answer.kind:
        case "page":
            body = f"    for {_word(method.answer.model)} in {call}:\n        print({_word(method.answer.model)})\n"
        case "sse":
            body = f"    with {call} as stream:\n        for event in stream:\n            print(event.data)\n"
        case "bytes":
            body = f"    for chunk in {call}:\n        print(chunk)\n"
        case "none":
            body = f"    {call}\n"
        case _:
            body = f"    print({call})\n"
    return head + body


def _word(model: str) -> str:
    return types.name(model[:1].lower() + model[1:])


def _snaked(api: Api, kind: Type | None, value: Any) -> Any:
    """A body's value with the names that Python gives its fields."""
    match kind:
        case Ref(ref) if ref in api.models and isinstance(value, dict):
            fields = {field.name: field.type for field in api.models[ref].fields}
            return {types.name(key): _snaked(api, fields.get(key), each) for key, each in value.items()}
        case ListOf(inner) if isinstance(value, list):
            return [_snaked(api, inner, each) for each in value]
        case Nullable(inner):
            return _snaked(api, inner, value)
        case _:
            return value


def _url(method: Method) -> str:
    """The path with its arguments in it, as the argument of an f-string."""
    path = method.path.removeprefix("/v1") or "/"
    for param in method.path_params:
        path = path.replace(f"{{{param.wire}}}", f"{{segment({types.name(param.name)})}}")
    return f'f"{path}"' if method.path_params else f'"{path}"'


def _arguments(api: Api, method: Method) -> list[tuple[str, str, str, bool, str]]:
    """Of each keyword argument: name, wire name, annotation, required, doc. Required ones first."""
    given = [
        (types.name(p.name), p.wire, types.hint(api, p.type, "input", "t."), p.required, p.doc) for p in method.query
    ]
    given += [
        (types.name(f.name), f.name, types.hint(api, f.type, "input", "t."), f.required, f.doc)
        for f in api.body_fields(method)
    ]
    return sorted(given, key=lambda each: not each[3])


def _needs(api: Api, service: Service) -> dict[str, Any]:
    return {"class_name": pascal(service.name)}


def _inputs(api: Api) -> list[Any]:
    return [model for model in api.models.values() if model.is_input and types.encoder(api, Ref(model.name))]


LANGUAGE = emit.Language("python", "Python", "python", render, sample, "python", formatted)
