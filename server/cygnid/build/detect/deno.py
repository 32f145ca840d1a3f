"""Deno: a task or a main module; what it imports is fetched at the build, and nothing at the start."""

from cygnid.build.detect.inputs import json_file, table, text_of
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import choose, matches_python, tool_version

_MAINS = ("main.ts", "server.ts", "mod.ts", "main.js", "server.js")


def detect(look: Look) -> Found | None:
    files, names = look.files, look.files.names()
    config = next((name for name in ("deno.json", "deno.jsonc") if name in names), None)
    if config is None and "deno.lock" not in names and not look.started:
        return None
    version = choose("Deno", look.versions("deno"), tool_version(files, "deno"), matches_python)
    start = text_of(table(json_file(files, config), "tasks").get("start")) if config else None
    main = next((name for name in _MAINS if name in names), None)
    return Found(
        language="deno",
        evidence=config or ("deno.lock" if "deno.lock" in names else "a command that starts with deno"),
        version=version,
        build_command=f"deno cache {main}" if main else None,
        web="deno task start" if start else f"deno run --cached-only -A {main}" if main else None,
        unstartable="add a `start` task to deno.json, or a main.ts",
        env={"DENO_NO_UPDATE_CHECK": "1"},
    )


LANGUAGE = Language(
    name="deno",
    looked_for="Deno: deno.json, deno.lock",
    detect=detect,
    programs=frozenset({"deno"}),
    recipe=Recipe(env={"DENO_DIR": "{root}/.deno"}),
)
