"""Python: what installs it, what starts it."""

import hashlib
import posixpath
import re
import shlex
import tomllib
from collections.abc import Sequence
from typing import Any, cast

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import Files
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Wish, choose, matches_python
from cygnid.build.toolchains import Toolchain

MODULES = ("wsgi", "asgi", "app", "main", "application", "server", "api")
_FRAMEWORKS = ("django", "flask", "fastapi", "starlette", "quart", "litestar", "bottle", "falcon")
_PROGRAMS = frozenset({"python", "python3", "gunicorn", "uvicorn", "hypercorn", "flask", "celery"})
_ASGI = frozenset({"fastapi", "starlette", "quart", "litestar"})


def detect(look: Look) -> Found | None:
    files = look.files
    names = files.names()
    by_file = [name for name in ("requirements.txt", "pyproject.toml", "uv.lock", "manage.py") if name in names]
    script = None if by_file else _script(files, names)
    named = sorted(look.started)
    if not by_file and script is None and not named:
        return None
    project = _pyproject(files)
    version = choose("Python", look.versions("python"), _wish(files, project), matches_python)
    install = _install(files, names, project)
    dependencies = _dependencies(files, install[1], project)
    framework = next((name for name in _FRAMEWORKS if name in dependencies), None)
    web, unstartable = _start(files, names, dependencies, framework)
    if web is None and (script := script or _script(files, names)):
        web = f"python {script}"
    return Found(
        language="python",
        framework=framework,
        evidence=", ".join(by_file) or script or f"a command that starts with {named[0]}",
        version=version,
        install_command=install[0],
        install_files=install[1],
        install_key=install[2],
        web=web,
        unstartable=unstartable,
        notes=install[3],
    )


def _pyproject(files: Files) -> dict[str, Any]:
    text = files.read("pyproject.toml")
    if text is None:
        return {}
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BuildFailed(
            "source_invalid", f"pyproject.toml cannot be read: {error}", hint="Correct the file and deploy again."
        ) from None


def _table(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _wish(files: Files, project: dict[str, Any]) -> Wish | None:
    for name, prefix in ((".python-version", ""), ("runtime.txt", "python-")):
        lines = [line.strip() for line in (files.read(name) or "").splitlines()]
        wanted = next((line for line in lines if line and not line.startswith("#")), None)
        if wanted:
            return Wish(wanted.removeprefix(prefix).removeprefix("cpython-"), name)
    requires = _table(project, "project").get("requires-python")
    return Wish(requires, "pyproject.toml (requires-python)") if isinstance(requires, str) and requires else None


def _install(
    files: Files, names: Sequence[str], project: dict[str, Any]
) -> tuple[str | None, tuple[str, ...], str | None, tuple[str, ...]]:
    """(command, files it reads, key, notes)."""
    is_package = "build-system" in project or _table(project, "tool", "uv").get("package") is True
    if "uv.lock" in names and project:
        if is_package or "workspace" in _table(project, "tool", "uv"):
            return "uv sync --frozen --no-dev", (), None, ("The project is a package itself: installed at each build.",)
        inputs = ("pyproject.toml", "uv.lock")
        return "uv sync --frozen --no-dev --no-install-project", inputs, _key(files, inputs), ()
    if "requirements.txt" in names:
        inputs, reads_tree = _requirements(files)
        command = "uv pip install -r requirements.txt"
        if reads_tree:
            return command, (), None, (f"{reads_tree} installs from the source itself: installed at each build.",)
        return command, inputs, _key(files, inputs), ()
    if project.get("project") or "poetry" in _table(project, "tool"):
        notes = ("poetry.lock is not read: use uv.lock for exact versions.",) if "poetry.lock" in names else ()
        if is_package:
            notes += ("The project is a package itself: installed at each build.",)
            return "uv pip install .", (), None, notes
        inputs = ("pyproject.toml",)
        return "uv pip install -r pyproject.toml", inputs, _key(files, inputs), notes
    return None, (), _key(files, ()), ()


def _key(files: Files, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{files.read(name) or ''}\0".encode())
    return digest.hexdigest()


def _requirements(files: Files) -> tuple[tuple[str, ...], str]:
    """All files that requirements.txt includes, and the first line that installs from the tree itself, or ""."""
    inputs: list[str] = []
    todo = ["requirements.txt"]
    while todo:
        name = posixpath.normpath(todo.pop())
        text = files.read(name)
        if name in inputs or text is None:
            continue
        if name.startswith("../"):
            return (), name
        inputs.append(name)
        for raw in text.splitlines():
            line = re.sub(r"(^|\s)#.*", "", raw).strip()
            include = re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", line)
            if include:
                todo.append(posixpath.join(posixpath.dirname(name), include[1]))
            elif re.match(r"(-e\b|--editable|\.|/|file:|-f\b|--find-links)", line) or re.search(r"@\s*file:", line):
                return (), line
    return tuple(sorted(inputs)), ""


def _dependencies(files: Files, inputs: Sequence[str], project: dict[str, Any]) -> set[str]:
    listed: list[str] = []
    for name in [*(inputs or ("requirements.txt",))]:
        if name.endswith(".txt"):
            listed += (files.read(name) or "").splitlines()
    declared = _table(project, "project").get("dependencies")
    if isinstance(declared, list):
        listed += [item for item in cast("list[Any]", declared) if isinstance(item, str)]
    listed += list(_table(project, "tool", "poetry", "dependencies"))
    found: set[str] = set()
    for line in listed:
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?", line)
        if match:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            found.add(name)
            if name == "fastapi" and match[2]:
                found.add("uvicorn")
    return found


def _start(files: Files, names: Sequence[str], dependencies: set[str], framework: str | None) -> tuple[str | None, str]:
    """(start command, or why there is none)."""
    if "manage.py" in names:
        folder = next((name for name in names if "wsgi.py" in files.names(name)), None)
        if folder and "gunicorn" in dependencies:
            return f"gunicorn {folder}.wsgi --bind 0.0.0.0:$PORT", ""
        if folder:
            return (
                None,
                f"Django needs a server: add gunicorn to the dependencies, or `web: … {folder}.wsgi` to a Procfile",
            )
    target = _application(files)
    if target and framework in _ASGI:
        if "uvicorn" in dependencies:
            return f"uvicorn {target} --host 0.0.0.0 --port $PORT", ""
        return None, f"{framework} needs a server: add uvicorn to the dependencies"
    if target and framework:
        if "gunicorn" in dependencies:
            return f"gunicorn --bind 0.0.0.0:$PORT {_quoted(target)}", ""
        return None, f"{framework} needs a server: add gunicorn to the dependencies"
    return None, ""


def _quoted(target: str) -> str:
    return f"'{target}'" if "(" in target else target


def _application(files: Files) -> str | None:
    """`module:variable` of the WSGI or ASGI application."""
    for module in MODULES:
        text = files.read(f"{module}.py")
        if text is None:
            continue
        for variable in ("app", "application"):
            assigned = re.search(rf"^{variable}\s*(?::[^=\n]+)?=\s*\S", text, re.MULTILINE)
            if assigned or re.search(rf"^from\s.*\bimport\b.*\b{variable}\b", text, re.MULTILINE):
                return f"{module}:{variable}"
        if re.search(r"^def create_app\(", text, re.MULTILINE):
            return f"{module}:create_app()"
    return None


def _script(files: Files, names: Sequence[str]) -> str | None:
    """A program at the top that takes its port from the environment."""
    for name in ("app.py", "main.py", "server.py"):
        if name in names and re.search(r"\bPORT\b", files.read(name) or ""):
            return name
    return None


def _venv(toolchain: Toolchain, with_pip: bool) -> str:
    """Made where it will be used and never moved: its scripts name its path."""
    return f"uv venv -q{' --seed' if with_pip else ''} --python {shlex.quote(str(toolchain.python))} .venv"


LANGUAGE = Language(
    name="python",
    looked_for="Python: requirements.txt, pyproject.toml, manage.py, or app.py, main.py, server.py that reads PORT",
    detect=detect,
    names=frozenset(_FRAMEWORKS),
    programs=_PROGRAMS,
    recipe=Recipe(
        dependencies=".venv",
        always_installs=True,
        before=_venv,
        path=("{root}/.venv/bin",),
        env={"VIRTUAL_ENV": "{root}/.venv", "PYTHONUNBUFFERED": "1"},
        build_env={
            "UV_CACHE_DIR": "{cache}/uv",
            "UV_LINK_MODE": "copy",  # the cache is another mount, where no hard link leads
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "UV_COMPILE_BYTECODE": "1",
            "UV_PROJECT_ENVIRONMENT": "{root}/.venv",
            "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",  # no change of time makes the app compile at its start
            "PIP_CACHE_DIR": "{cache}/pip",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        },
        caches=("uv", "pip"),
    ),
)
