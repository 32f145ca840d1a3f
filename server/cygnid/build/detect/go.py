"""Go: one static program of the module's main package."""

import posixpath
import re
import shlex
from collections.abc import Sequence

from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import web_program
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Version, Wish, choose, parse, tool_version

_MAX_READ = 200
"""Source files that are looked into for a main package."""


def detect(look: Look) -> Found | None:
    files = look.files
    module = files.read("go.mod")
    if module is None:
        return None
    wish = tool_version(files, "golang", "go") or _of_module(module)
    version = choose("Go", look.versions("go"), wish, _at_least)
    mains = _mains(files)
    evidence = "go.mod" + (", vendor" if files.read("vendor/modules.txt") is not None else "")
    if not mains:
        return Found(
            language="go",
            evidence=evidence,
            version=version,
            unstartable="add a `package main` at the top or in cmd/<name>",
        )
    found = re.search(r"(?m)^module\s+\"?([^\s\"]+)", module)
    own = posixpath.basename(re.sub(r"/v\d+$", "", found[1])) if found else "app"
    names = {posixpath.basename(folder) or own: folder for folder in mains}
    name = own if "" in mains else web_program(list(names), own)
    target = f"./{names[name]}" if names[name] else "."
    notes: tuple[str, ...] = ()
    if len(mains) > 1:
        others = ", ".join(folder or "the top" for folder in mains if folder != names[name])
        notes = (
            (
                f"{len(mains)} main packages: {names[name] or 'the top'} was taken, not {others}; name another with "
                "build_command and a Procfile."
            ),
        )
    mode = "vendor" if "vendor" in evidence else "readonly"
    program = shlex.quote(f"bin/{name}")
    return Found(
        language="go",
        framework=_framework(module),
        evidence=evidence,
        version=version,
        build_command=f"go build -mod={mode} -trimpath -ldflags='-s -w' -o {program} {shlex.quote(target)}",
        web=program,
        notes=notes,
    )


def _of_module(module: str) -> Wish | None:
    """The `toolchain` line is a suggestion, which the go command itself follows only when it may download one."""
    found = re.search(r"(?m)^go\s+(\d[\w.]*)", module)
    return Wish(found[1], "go.mod") if found else None


def _at_least(version: Version, text: str) -> bool:
    """Go builds the code of every Go before it, as it was (the module's `go` line says which)."""
    return version >= parse(text)


def _mains(files: Files) -> list[str]:
    """Folders that hold a main package: the top is ""."""
    budget = _MAX_READ
    found: list[str] = []
    for folder in ("", *(f"cmd/{name}" for name in files.names("cmd")), "cmd"):
        sources = [name for name in files.names(folder) if name.endswith(".go") and not name.endswith("_test.go")]
        for name in sources[:budget]:
            budget -= 1
            if re.search(r"(?m)^package\s+main\b", files.read(posixpath.join(folder, name)) or ""):
                found.append(folder)
                break
    return found


def _framework(module: str) -> str | None:
    known: Sequence[tuple[str, str]] = (
        ("gin-gonic/gin", "gin"),
        ("labstack/echo", "echo"),
        ("gofiber/fiber", "fiber"),
        ("go-chi/chi", "chi"),
    )
    return next((name for path, name in known if path in module), None)


LANGUAGE = Language(
    name="go",
    looked_for="Go: go.mod",
    detect=detect,
    names=frozenset({"golang", "gin", "echo", "fiber", "chi"}),
    recipe=Recipe(
        build_env={
            "GOTOOLCHAIN": "local",
            "GOMODCACHE": "{cache}/go-mod",
            "GOCACHE": "{cache}/go-build",
            "GOFLAGS": "-modcacherw -buildvcs=false",
            "CGO_ENABLED": "0",
        },
        caches=("go-mod", "go-build"),
        not_released=("*.go", "/go.mod", "/go.sum", "/vendor/"),
        runs_alone=True,
    ),
)
