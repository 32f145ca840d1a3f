"""Bun, where the machine has it; without it such an app is built as one of Node."""

from cygnid.build.detect.inputs import json_file, key_of, table, text_of
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import choose, matches_python, tool_version

_MAINS = ("index.ts", "server.ts", "index.js", "server.js", "src/index.ts")


def detect(look: Look) -> Found | None:
    files, names = look.files, look.files.names()
    lock = next((name for name in ("bun.lock", "bun.lockb") if name in names), None)
    evidence = lock or ("bunfig.toml" if "bunfig.toml" in names else None)
    if evidence is None and not look.started:
        return None
    if evidence is not None and not look.versions("bun") and "package.json" in names:
        return None
    version = choose("Bun", look.versions("bun"), tool_version(files, "bun"), matches_python)
    package = json_file(files, "package.json")
    scripts = table(package, "scripts")
    needs = bool(table(package, "dependencies") or table(package, "devDependencies"))
    hook = next((name for name in ("preinstall", "install", "postinstall", "prepare") if name in scripts), None)
    reads_tree = hook is not None or "workspaces" in package or lock == "bun.lockb"
    inputs = tuple(name for name in ("package.json", "bun.lock", "bunfig.toml") if name in names)
    main = text_of(package.get("module")) or text_of(package.get("main"))
    main = main or next((name for name in _MAINS if files.read(name) is not None), None)
    return Found(
        language="bun",
        evidence=evidence or "a command that starts with bun",
        version=version,
        install_command=f"bun install{' --frozen-lockfile' if lock else ''}" if needs else None,
        install_files=() if reads_tree else inputs,
        install_key=None if reads_tree or not needs else key_of(files, inputs),
        build_command="bun run build" if "build" in scripts else None,
        web="bun run start" if "start" in scripts else f"bun {main}" if main else None,
        unstartable="add a `start` script to package.json",
    )


LANGUAGE = Language(
    name="bun",
    looked_for="Bun: bun.lock, bunfig.toml",
    detect=detect,
    programs=frozenset({"bun"}),
    recipe=Recipe(
        dependencies="node_modules",
        path=("{root}/node_modules/.bin",),
        env={"NODE_ENV": "production"},
        build_env={"BUN_INSTALL_CACHE_DIR": "{cache}/bun"},
        caches=("bun",),
    ),
)
