"""Python: what installs it, what builds it, what starts it."""

import re
import shlex
from collections.abc import Sequence

from cygnid.build.detect import python_app, python_django, python_install
from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import first_word
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.python_install import REQUIREMENTS, Install
from cygnid.build.detect.python_locks import Table, pep440, read_toml, table
from cygnid.build.detect.versions import Wish, matches_python, settle, tool_version
from cygnid.build.toolchains import Toolchain

_FILES = (
    *("uv.lock", "poetry.lock", "Pipfile.lock", "requirements.txt", "requirements.in", "Pipfile"),
    *("pyproject.toml", "setup.py", "setup.cfg", "manage.py"),
)
_FRAMEWORKS = (
    *("django", "flask", "fastapi", "litestar", "starlette", "quart", "bottle", "falcon", "dash"),
    *("streamlit", "gradio"),
)
_PROGRAMS = frozenset(
    {"python", "python3", "gunicorn", "uvicorn", "hypercorn", "waitress-serve", "flask", "celery", "streamlit"}
)


def detect(look: Look) -> Found | None:
    files = look.files
    names = files.names()
    by_file = [name for name in _FILES if name in names]
    by_file += [name for name in REQUIREMENTS if "/" in name and not by_file and files.read(name) is not None][:1]
    script = None if by_file else _script(files, names)
    named = sorted(look.started)
    if not by_file and script is None and not named:
        return None
    text = files.read("pyproject.toml")
    project = read_toml(text, "pyproject.toml") if text is not None else {}
    version, notes = settle("Python", look.versions("python"), _wish(look, project), matches_python, same=2)
    install = python_install.find(look, project, version)
    framework = next((name for name in _FRAMEWORKS if name in install.names), None)
    web, install, framework, build = _start(look, install, framework)
    if web is None and (script := script or _script(files, names)):
        web = f"python {script}"
    return Found(
        language="python",
        framework=framework,
        evidence=", ".join(by_file) or script or f"a command that starts with {named[0]}",
        version=version,
        install_command=install.command,
        install_files=install.files,
        install_made=install.made,
        install_key=install.key(look),
        build_command=build,
        web=web,
        notes=(*notes, *install.notes),
    )


def _wish(look: Look, project: Table) -> Wish | None:
    files = look.files
    for folder, above in look.upward():  # as pyenv and uv look for it
        if wanted := first_word(above, ".python-version"):
            where = ".python-version" if folder == look.root else f"{folder or 'the top'}'s .python-version"
            return Wish(wanted.removeprefix("cpython-"), where)
    if wanted := first_word(files, "runtime.txt"):
        return Wish(wanted.removeprefix("python-"), "runtime.txt")
    if wish := tool_version(files, "python"):
        return wish
    requires = table(project, "project").get("requires-python")
    if isinstance(requires, str) and requires:
        return Wish(requires, "pyproject.toml (requires-python)")
    poetry = table(project, "tool", "poetry", "dependencies").get("python")
    if isinstance(poetry, str) and pep440(poetry):
        return Wish(pep440(poetry), "pyproject.toml (tool.poetry.dependencies.python)")
    pipfile = table(read_toml(files.read("Pipfile") or "", "Pipfile"), "requires")
    wanted = pipfile.get("python_full_version") or pipfile.get("python_version")
    return Wish(wanted, "Pipfile (requires)") if isinstance(wanted, str) and wanted else None


def _start(look: Look, install: Install, framework: str | None) -> tuple[str | None, Install, str | None, str | None]:
    """(start command, installation, framework, build command)."""
    files = look.files
    django = python_django.find(files) if "manage.py" in files.names() or framework == "django" else None
    if django:
        at = f"cd {django.folder} && " if django.folder else ""
        settings = f" --settings={django.settings}" if django.settings else ""
        collect = f"{at}python manage.py collectstatic --noinput{settings}" if django.collects else None
        if django.is_asgi:
            web, install = _asgi(look, install, f"{django.module}:application", django.folder)
        else:
            web, install = _wsgi(look, install, django.module, django.folder, last=True)
        return web, install, "django", collect
    if framework in ("streamlit", "gradio") and (script := _script_of(files, framework)):
        return _of_data(framework, script), install, framework, None
    found = python_app.find(files, framework)
    if found is None:
        return None, install, framework, None
    factory = found.is_factory
    if found.framework in python_app.ASGI:
        target = f"{found.target} --factory" if factory else found.target
        web, install = _asgi(look, install, target, found.folder)
    else:
        web, install = _wsgi(look, install, f"'{found.target}()'" if factory else found.target, found.folder)
    return web, install, found.framework, None


def _asgi(look: Look, install: Install, target: str, folder: str) -> tuple[str, Install]:
    if "hypercorn" in install.names and "uvicorn" not in install.names and "--factory" not in target:
        at = f"PYTHONPATH={folder} " if folder else ""
        return f"{at}hypercorn {target} --bind 0.0.0.0:$PORT", install
    install = _with(look, install, "uvicorn")
    at = f" --app-dir {folder}" if folder else ""
    return f"uvicorn {target} --host 0.0.0.0 --port $PORT{at}", install


def _wsgi(look: Look, install: Install, target: str, folder: str, *, last: bool = False) -> tuple[str, Install]:
    if "waitress" in install.names and "gunicorn" not in install.names and "(" not in target:
        at = f"PYTHONPATH={folder} " if folder else ""
        named = target if ":" in target else f"{target}:application"
        return f"{at}waitress-serve --listen=0.0.0.0:$PORT {named}", install
    install = _with(look, install, "gunicorn")
    at = f" --chdir {folder}" if folder else ""
    if last:
        return f"gunicorn {target} --bind 0.0.0.0:$PORT{at}", install
    return f"gunicorn --bind 0.0.0.0:$PORT{at} {target}", install


def _with(look: Look, install: Install, server: str) -> Install:
    """The server that starts the app, added where the app does not bring it and names no command of its own."""
    brings = server in install.names or (server == "uvicorn" and install.brings_uvicorn)
    if brings or look.says_start:
        return install
    return install.also(
        server, f"{server} is installed to serve the app: add it to the dependencies to fix its version."
    )


def _script_of(files: Files, framework: str) -> str | None:
    usual = ("streamlit_app.py", "app.py", "main.py", "Home.py")
    there = [name for name in files.names() if name.endswith(".py") and not name.startswith("test_")]
    for name in sorted(there, key=lambda name: usual.index(name) if name in usual else len(usual)):
        if re.search(rf"^\s*(import|from)\s+{framework}\b", files.read(name) or "", re.MULTILINE):
            return name
    return None


def _of_data(framework: str, script: str) -> str:
    quoted = shlex.quote(script)
    if framework == "gradio":
        return f"GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=$PORT python {quoted}"
    options = "--server.port $PORT --server.address 0.0.0.0 --server.headless true --browser.gatherUsageStats false"
    return f"streamlit run {quoted} {options}"


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
