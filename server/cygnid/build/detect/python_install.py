"""Python: which files say what is installed, and by which command."""

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cygnid.build.detect.inputs import lacking
from cygnid.build.detect.language import MADE, Look
from cygnid.build.detect.python_locks import (
    Locked,
    Table,
    direct_reference,
    from_pipenv,
    from_poetry,
    normal,
    pep440,
    read_toml,
    table,
    tables,
    texts,
)

_ITSELF = "The project is a package itself: installed at each build."
_FASTAPI = re.compile(r"\s*fastapi\[[^\]]*(standard|all)", re.IGNORECASE)
REQUIREMENTS = (
    "requirements.txt",
    *("requirements/production.txt", "requirements/prod.txt", "requirements-prod.txt", "requirements.prod.txt"),
    *("requirements/base.txt", "requirements.in"),
)
"""The first that is there is installed from; pip-tools compiles the first from the last."""


@dataclass(frozen=True, kw_only=True)
class Install:
    manager: str
    """The file that decides, or ""."""
    command: str | None
    files: tuple[str, ...] = ()
    """All that installing reads; () when it reads the tree."""
    made: Mapping[str, str] = field(default_factory=dict[str, str])
    shared: bool = True
    notes: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    """Packages that will be there, as far as files say."""
    brings_uvicorn: bool = False
    """As an extra of another package."""

    def key(self, look: Look) -> str | None:
        if not self.shared:
            return None
        digest = hashlib.sha256((self.command or "").encode())
        for name in self.files:
            digest.update(f"\0{name}\0{look.files.read(name) or ''}".encode())
        for name, text in sorted(self.made.items()):
            digest.update(f"\0{MADE}/{name}\0{text}".encode())
        return digest.hexdigest()

    def also(self, package: str, why: str) -> "Install":
        """With one more package, for what `why` says."""
        command = f"{self.command} && uv pip install {package}" if self.command else f"uv pip install {package}"
        return replace(self, command=command, notes=(*self.notes, why), names=self.names | {package})


def find(look: Look, project: Table, version: str) -> Install:
    """By the first file that is there: locks before lists. Raises BuildFailed(source_invalid)."""
    names = look.files.names()
    poetry = table(project, "tool", "poetry")
    ways: dict[str, Callable[[], Install]] = {}
    if project and _of_uv(look) is not None:
        ways["uv.lock"] = lambda: _uv(look, project)
    if "poetry.lock" in names and project:
        ways["poetry.lock"] = lambda: _poetry(look, project, version)
    if "Pipfile.lock" in names:
        ways["Pipfile.lock"] = lambda: _locked("Pipfile.lock", from_pipenv(look.files.read("Pipfile.lock") or ""))
    if listed := next((name for name in REQUIREMENTS if look.files.read(name) is not None), None):
        ways[listed] = lambda: _listed(look, listed)
    if "Pipfile" in names:
        ways["Pipfile"] = lambda: _pipfile(look)
    if project.get("project") or poetry:
        ways["pyproject.toml"] = lambda: _pyproject(project)
    if "setup.py" in names or "setup.cfg" in names:
        name = "setup.py" if "setup.py" in names else "setup.cfg"
        ways[name] = lambda: Install(manager=name, command="uv pip install .", shared=False, notes=(_ITSELF,))
    if not ways:
        return Install(manager="", command=None)
    first, *others = ways
    found = ways[first]()
    second = next((name for name in others if {first, name} not in _TOGETHER and name not in _BESIDE), None)
    if second:
        note = f"{first} is installed from, not {second}; `install_command` in cygni.toml says otherwise."
        found = replace(found, notes=(*found.notes, note))
    return found


_TOGETHER = ({"uv.lock", "pyproject.toml"}, {"poetry.lock", "pyproject.toml"}, {"Pipfile.lock", "Pipfile"})
_BESIDE = frozenset({"setup.py", "setup.cfg", "pyproject.toml"})
"""Often there for other tools alone."""


def _uv(look: Look, project: Table) -> Install:
    is_package = "build-system" in project or table(project, "tool", "uv").get("package") is True
    home, text = _of_uv(look) or ("", "")
    lock = read_toml(text, "uv.lock")
    names = frozenset(normal(str(package.get("name"))) for package in tables(lock.get("package")))
    names |= frozenset() if names else frozenset(map(_name, texts(table(project, "project").get("dependencies"))))
    for requirement in texts(table(project, "project").get("dependencies")):
        if (name := _name(requirement)) and name not in names:
            raise lacking("pyproject.toml", name, "uv.lock", "uv lock")
    command = "uv sync --frozen --no-dev"
    if home != look.root or is_package or "workspace" in table(project, "tool", "uv"):
        above = f"uv.lock is that of the workspace in {home or 'the top'}: installed at each build."
        note = _ITSELF if home == look.root else above
        return Install(manager="uv.lock", command=command, shared=False, notes=(note,), names=names)
    files = ("pyproject.toml", "uv.lock")
    return Install(manager="uv.lock", command=f"{command} --no-install-project", files=files, names=names)


def _of_uv(look: Look) -> tuple[str, str] | None:
    """The folder, itself or above, that has the lock, and its text."""
    found = ((folder, files.read("uv.lock")) for folder, files in look.upward())
    return next(((folder, text) for folder, text in found if text is not None), None)


def _poetry(look: Look, project: Table, version: str) -> Install:
    found = _locked("poetry.lock", from_poetry(look.files.read("poetry.lock") or "", project, version))
    poetry = table(project, "tool", "poetry")
    if "build-system" not in project or poetry.get("package-mode") is False:
        return found
    name = str(poetry.get("name") or table(project, "project").get("name") or "").replace("-", "_")
    scripts = poetry.get("scripts") or table(project, "project").get("scripts")
    below = bool(name) and name in look.files.names("src")
    if not below and not (scripts and name in look.files.names()) and not poetry.get("packages"):
        return found  # what lies at the top can be imported as it is
    command = f"{found.command} && uv pip install --no-deps -e ."
    return replace(found, command=command, shared=False, notes=(*found.notes, _ITSELF))


def _locked(manager: str, locked: Locked) -> Install:
    strict = " --require-hashes" if locked.hashed else ""
    note = f"{manager}: installed by uv, which leads to the same versions" + (" and hashes." if strict else ".")
    notes = (note, *((f"{manager} installs from the source itself: installed at each build.",) * locked.reads_tree))
    return Install(
        manager=manager,
        command=f"uv pip install --no-deps{strict} -r {MADE}/requirements.txt",
        made={"requirements.txt": locked.requirements},
        shared=not locked.reads_tree,
        notes=notes,
        names=locked.names,
    )


def _pipfile(look: Look) -> Install:
    pipfile = read_toml(look.files.read("Pipfile") or "", "Pipfile")
    lines = [_requirement(name, value) for name, value in table(pipfile, "packages").items()]
    return _unlocked("Pipfile", lines)


def _unlocked(manager: str, lines: Sequence[str]) -> Install:
    return Install(
        manager=manager,
        command=f"uv pip install -r {MADE}/requirements.txt",
        made={"requirements.txt": "".join(f"{line}\n" for line in lines)},
        shared=not any("file://" in line for line in lines),
        notes=(f"{manager} has no lock file: versions may differ from one installation to the next.",),
        names=frozenset(filter(None, map(_name, lines))),
    )


def _requirement(name: str, value: Any) -> str:
    """One entry of a Pipfile or of Poetry's table as a requirement."""
    entries = tables(value)
    entry = entries[-1] if entries else table({"": value}, "")
    wanted = value if isinstance(value, str) else entry.get("version", "")
    extras = ",".join(texts(entry.get("extras")))
    direct = direct_reference(entry)
    marker = f" ; {entry['markers']}" if isinstance(entry.get("markers"), str) else ""
    where = f" @ {direct}" if direct else pep440(str(wanted))
    return f"{name}{f'[{extras}]' if extras else ''}{where}{marker}"


def _pyproject(project: Table) -> Install:
    poetry = table(project, "tool", "poetry", "dependencies")
    declared = texts(table(project, "project").get("dependencies"))
    names = frozenset(filter(None, map(_name, declared)))
    brings = any(map(_FASTAPI.match, declared))
    if poetry and not declared:
        lines = [_requirement(name, value) for name, value in poetry.items() if normal(name) != "python"]
        return _unlocked("pyproject.toml", lines)
    if "build-system" in project:
        return Install(
            manager="pyproject.toml",
            command="uv pip install .",
            shared=False,
            notes=(_ITSELF,),
            names=names,
            brings_uvicorn=brings,
        )
    command = "uv pip install -r pyproject.toml"
    files = ("pyproject.toml",)
    return Install(manager="pyproject.toml", command=command, files=files, names=names, brings_uvicorn=brings)


def _listed(look: Look, first: str) -> Install:
    """`first` and all files that it includes."""
    command = f"uv pip install -r {first}"
    files, lines = list[str](), list[str]()
    todo = [first]
    reads_tree = ""
    while todo:
        name = posixpath.normpath(todo.pop())
        text = None if name.startswith("../") else look.files.read(name)
        reads_tree = reads_tree or (name if name.startswith("../") else "")
        if name in files or text is None:
            continue
        files.append(name)
        for raw in text.splitlines():
            line = re.sub(r"(^|\s)#.*", "", raw).strip()
            lines.append(line)
            include = re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", line)
            if include:
                todo.append(posixpath.join(posixpath.dirname(name), include[1]))
            elif re.match(r"(-e\b|--editable|\.|/|file:|-f\b|--find-links)", line) or re.search(r"@\s*file:", line):
                reads_tree = reads_tree or line
    found = Install(
        manager=first,
        command=command,
        names=frozenset(filter(None, map(_name, lines))),
        brings_uvicorn=any(map(_FASTAPI.match, lines)),
    )
    if reads_tree:
        note = f"{reads_tree} installs from the source itself: installed at each build."
        return replace(found, shared=False, notes=(note,))
    return replace(found, files=tuple(sorted(files)))


def _name(requirement: str) -> str:
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return normal(match[1]) if match else ""
