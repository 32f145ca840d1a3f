"""Go: structs, typed strings for enumerations, one service a noun."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ... import emit, samples
from ...ir import Api, Const, Field, ListOf, MapOf, Method, Nullable, Param, Ref, Scalar, Service, Type
from . import types


def render(api: Api) -> emit.Files:
    """Path below sdk/go → source."""
    jinja = emit.templates(
        Path(__file__).parent / "templates",
        go=types.name,
        local=types.local,
        literal=types.literal,
        comment=_comment,
        millis=_millis,
    )
    jinja.globals.update(_words(api))
    files = {
        "behavior_gen.go": jinja.get_template("behavior.go.j2").render(),
        "client_gen.go": jinja.get_template("client.go.j2").render(),
        "models_gen.go": jinja.get_template("models.go.j2").render(),
        "inputs_gen.go": jinja.get_template("inputs.go.j2").render(),
        "enums_gen.go": jinja.get_template("enums.go.j2").render(),
        "webhooks/events_gen.go": jinja.get_template("events.go.j2").render(),
    }
    for service in (each for each in api.services if each.methods):
        source = jinja.get_template("service.go.j2").render(service=service)
        files[f"service_{service.name.lower()}_gen.go"] = source
    return files


def _words(api: Api) -> dict[str, Any]:
    """What the templates call."""

    def output(field: Field) -> str:
        return types.hint(api, field.type, "output", field.name)

    def taken(field: Field) -> str:
        return _input(api, field)

    def query_type(param: Param) -> str:
        return types.query_type(api, param)

    def route(method: Method) -> str:
        return types.path(method.path, method.path_params)

    def event_name(model: str) -> str:
        return "log" if model == "LogLine" else ""

    def arguments(method: Method) -> str:
        return _arguments(api, method)

    def uses_time(service: Service) -> bool:
        return any(_is_time(param.type) for each in service.methods for param in each.query)

    return {
        "api": api,
        "output": output,
        "input": taken,
        "input_name": types.input_name,
        "query_type": query_type,
        "member": types.member,
        "route": route,
        "answered": {method.answer.model for method in api.methods if method.answer.kind == "model"},
        "event_name": event_name,
        "query_name": _query_name,
        "result": _result,
        "arguments": arguments,
        "uses_time": uses_time,
    }


def formatted(files: emit.Files) -> emit.Files:
    return {name: emit.through([_gofmt()], text) for name, text in files.items()}


def missing() -> str | None:
    return None if Path(_gofmt()).is_file() else "go is not installed"


def sample(api: Api, method: Method) -> str:
    """One program."""
    given = samples.arguments(api, method)
    parts = ["ctx", *(types.literal(each) for each in given.ids)]
    if method.media:
        parts += ["archive", f"cygni.UploadContentType{types.name(method.media[0])}"]
    if method.body:
        model = api.models[method.body]
        parts.append(f"cygni.{types.input_name(model)}{{{types.fields(api, model, dict(given.body))}}}")
    if method.query:
        pairs = ", ".join(f"{types.name(key)}: {types.literal(value)}" for key, value in given.query.items())
        parts.append(f"cygni.{_query_name(method)}{{{pairs}}}")
    call = f"client.{types.name(method.noun)}.{types.name(method.verb)}({', '.join(parts)})"
    uses = [name for name in ("os", "time") if (name == "os" and method.media) or f"{name}.Date(" in call]
    text = _program(call, method, uses)
    return emit.through([_gofmt()], text) if missing() is None else text


def _program(call: str, method: Method, uses: list[str]) -> str:
    fail = "if err != nil {\nlog.Fatal(err)\n}\n"
    match method.answer.kind:
        case "page" | "sse":
            item = "item" if method.answer.kind == "page" else "event"
            body = f"for {item}, err := range {call}.All() {{\n{fail}fmt.Println(*{item})\n}}\n"
        case "none":
            body = f"if _, err := {call}; err != nil {{\nlog.Fatal(err)\n}}\n"
        case "document":
            body = f"answer, err := {call}\n{fail}fmt.Println(string(answer.Data))\n"
        case "bytes":
            body = f"content, err := {call}\n{fail}defer content.Close()\nio.Copy(os.Stdout, content)\n"
            uses = [*uses, "io", "os"]
        case _:
            body = f"answer, err := {call}\n{fail}fmt.Println(*answer)\n"
    if method.media:
        body = f'archive, err := os.ReadFile("archive.tar.gz")\n{fail}{body}'
    imports = ["context", *(["fmt"] if "fmt." in body else []), "log", *sorted(set(uses))]
    lines = "".join(f'"{each}"\n' for each in imports) + '\n"github.com/cygni/cygni-go"\n'
    head = f"package main\n\nimport (\n{lines})\n\nfunc main() {{\nctx := context.Background()\n"
    return f"{head}client, err := cygni.NewClient()\n{fail}{body}}}\n"


def _gofmt() -> str:
    """Where Go is installed, its formatter is, though not always on the PATH."""
    found = shutil.which("gofmt")
    if found or not shutil.which("go"):
        return found or ""
    root = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.join(root, "bin", "gofmt")


def _input(api: Api, field: Field) -> str:
    if field.required:
        return types.hint(api, field.type, "input", field.name)
    return types.optional(api, field)


def _query_name(method: Method) -> str:
    return f"{types.name(method.noun)}{types.name(method.verb)}Params"


def _result(method: Method) -> str:
    model = types.name(method.answer.model) if method.answer.model else ""
    return {
        "model": f"(*{model}, error)",
        "page": f"*List[{model}]",
        "sse": f"*Stream[{model}]",
        "bytes": "(io.ReadCloser, error)",
        "none": "(*Response, error)",
        "document": "(*Response, error)",
    }[method.answer.kind]


def _arguments(api: Api, method: Method) -> str:
    given = [f"{types.local(param.name)} string" for param in method.path_params]
    if method.media:
        given += ["content []byte", "contentType UploadContentType"]
    if method.body:
        given.append(f"body {types.input_name(api.models[method.body])}")
    if method.query:
        given.append(f"params {_query_name(method)}")
    return ", ".join(["ctx context.Context", *given, "options ...CallOption"])


def _is_time(kind: Type) -> bool:
    match kind:
        case Scalar("time"):
            return True
        case ListOf(inner) | MapOf(inner) | Nullable(inner):
            return _is_time(inner)
        case Scalar() | Const() | Ref():
            return False


def _millis(seconds: float) -> int:
    return int(seconds * 1000)


def _comment(text: str, indent: str = "") -> str:
    """A doc comment."""
    return "\n".join(f"{indent}// {line.strip()}".rstrip() for line in text.strip().splitlines())


LANGUAGE = emit.Language("go", "Go", "go", render, sample, "go", formatted, missing)
