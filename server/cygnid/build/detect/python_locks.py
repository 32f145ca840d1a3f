"""What Poetry and Pipenv locked, as requirements with hashes: neither tool is needed to install exactly that."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from cygnid.build.base import BuildFailed
from cygnid.build.detect.inputs import lacking
from cygnid.build.detect.versions import matches_python, parse

Table = dict[str, Any]
_PUBLIC = re.compile(r"https://(\w+\.)?pypi\.org/|https://pypi\.python\.org/")


@dataclass(frozen=True, kw_only=True)
class Locked:
    requirements: str
    """Text of a requirements file that lists everything, dependencies of dependencies too."""
    hashed: bool
    """Every line has its hashes."""
    reads_tree: bool
    names: frozenset[str]


def normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def table(value: Any, *keys: str) -> Table:
    for key in keys:
        value = cast("Table", value).get(key) if isinstance(value, dict) else None
    return cast("Table", value) if isinstance(value, dict) else {}


def tables(value: Any) -> list[Table]:
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Table", item) for item in listed if isinstance(item, dict)]


def texts(value: Any) -> list[str]:
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [item for item in listed if isinstance(item, str)]


def read_toml(text: str, name: str) -> Table:
    """Raises BuildFailed(source_invalid)."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BuildFailed(
            "source_invalid", f"{name} cannot be read: {error}", hint="Correct the file and deploy again."
        ) from None


def from_poetry(text: str, project: Table, version: str) -> Locked:
    """`poetry.lock` of any format since 1.0, without development groups and without extras, for Python `version`.
    Raises BuildFailed(source_invalid) when the lock lacks what pyproject.toml asks for."""
    lock = read_toml(text, "poetry.lock")
    packages: dict[str, list[Table]] = {}
    locked = [package for package in tables(lock.get("package")) if isinstance(package.get("name"), str)]
    for package in locked:
        allowed = package.get("python-versions")
        if not isinstance(allowed, str) or allowed == "*" or matches_poetry(version, allowed):
            packages.setdefault(normal(package["name"]), []).append(package)
    roots = dict(_poetry_roots(project))
    for name in roots:
        if name not in {normal(package["name"]) for package in locked}:
            raise lacking("pyproject.toml", name, "poetry.lock", "poetry lock")
    old_hashes = table(lock, "metadata", "files")
    lines, indexes, hashed, reads_tree = list[str](), list[str](), True, False
    chosen = _walk({name: extras for name, extras in roots.items() if name in packages}, packages, version)
    for name in sorted(chosen):
        package = max(packages[name], key=lambda each: parse(str(each.get("version"))))
        source = table(package, "source")
        kind, url = source.get("type"), source.get("url")
        if kind in ("git", "url", "directory", "file"):
            hashed = False
            reads_tree = reads_tree or kind in ("directory", "file")
            lines.append(f"{name} @ {_address(kind, str(url), source)}")
            continue
        if kind == "legacy" and isinstance(url, str) and url not in indexes and not _PUBLIC.match(url):
            indexes.append(url)
        files = package.get("files") or old_hashes.get(package["name"])
        hashes = [str(file["hash"]) for file in tables(files) if isinstance(file.get("hash"), str)]
        hashed = hashed and bool(hashes)
        lines.append(_line(f"{name}=={package.get('version')}", hashes))
    return _locked(lines, indexes, hashed, reads_tree, chosen)


def _locked(lines: list[str], indexes: list[str], hashed: bool, reads_tree: bool, names: Iterable[str]) -> Locked:
    head = [f"--extra-index-url {url}" for url in indexes if not re.search(r"\s", url)]
    text = "".join(f"{line}\n" for line in (*head, *lines))
    return Locked(requirements=text, hashed=hashed, reads_tree=reads_tree, names=frozenset(names))


def _line(what: str, hashes: Iterable[str]) -> str:
    known = (each for each in hashes if re.fullmatch(r"\w+:[0-9a-f]+", each))
    return " \\\n    ".join((what, *(f"--hash={each}" for each in known)))


def _address(kind: str, url: str, source: Table) -> str:
    if kind == "git":
        at = source.get("resolved_reference") or source.get("reference")
        below = source.get("subdirectory")
        return f"git+{url}{f'@{at}' if at else ''}{f'#subdirectory={below}' if below else ''}"
    return url if kind == "url" else f"file://${{PWD}}/{url}"


def _poetry_roots(project: Table) -> Iterator[tuple[str, set[str]]]:
    """(package, extras of it) that the project itself needs, by the old table or by PEP 621."""
    for name, value in table(project, "tool", "poetry", "dependencies").items():
        entries = [cast("Table", value)] if isinstance(value, dict) else tables(value)
        if normal(name) != "python" and not (entries and all(entry.get("optional") is True for entry in entries)):
            yield normal(name), {extra for entry in entries for extra in texts(entry.get("extras"))}
    for text in texts(table(project, "project").get("dependencies")):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield normal(requirement.name), set(requirement.extras)


def _walk(roots: Mapping[str, set[str]], packages: Mapping[str, list[Table]], version: str) -> set[str]:
    """Everything that the roots need on this platform."""
    extras = {name: set(wanted) for name, wanted in roots.items()}
    todo = list(roots)
    while todo:
        name = todo.pop()
        for package in packages.get(name, ()):
            for below, wanted in _needs(package, extras[name], version):
                if below in packages and (below not in extras or not wanted <= extras[below]):
                    extras.setdefault(below, set()).update(wanted)
                    todo.append(below)
    return {name for name in extras if name in packages}


def _needs(package: Table, extras: set[str], version: str) -> Iterator[tuple[str, set[str]]]:
    by_extra = {
        normal(re.split(r"[^\w.-]", text, maxsplit=1)[0])
        for extra, listed in table(package, "extras").items()
        if extra in extras
        for text in texts(listed)
    }
    for name, value in table(package, "dependencies").items():
        for entry in tables(value) if isinstance(value, list) else [table({"": value}, "")]:
            if entry.get("optional") is True and normal(name) not in by_extra:
                continue
            if _holds(entry.get("markers"), extras, version):
                yield normal(name), set(texts(entry.get("extras")))


def _holds(marker: Any, extras: set[str], version: str) -> bool:
    """Whether a marker is true for this Python on this platform. One that nobody can read leaves nothing out."""
    if not isinstance(marker, str):
        return True
    minor = ".".join(version.split(".")[:2])
    try:
        read = Marker(marker)
        places = ({"python_version": minor, "python_full_version": version, "extra": e} for e in ("", *extras))
        return any(read.evaluate(place) for place in places)
    except (InvalidMarker, ValueError, RecursionError):
        return True


def from_pipenv(text: str) -> Locked:
    """`Pipfile.lock`, without development packages. Raises BuildFailed(source_invalid)."""
    try:
        lock: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BuildFailed(
            "source_invalid", f"Pipfile.lock cannot be read: {error}", hint="Run `pipenv lock` and deploy again."
        ) from None
    lines, hashed, reads_tree = list[str](), True, False
    packages = table(lock, "default")
    for name, value in sorted(packages.items()):
        entry = table({"": value}, "")
        marker = f" ; {entry['markers']}" if isinstance(entry.get("markers"), str) else ""
        extras = ",".join(texts(entry.get("extras")))
        what = f"{name}[{extras}]" if extras else name
        if direct := direct_reference(entry):
            hashed = False
            reads_tree = reads_tree or direct.startswith("file:")
            lines.append(f"{what} @ {direct}{marker}")
            continue
        hashes = texts(entry.get("hashes"))
        hashed = hashed and bool(hashes)
        lines.append(_line(f"{what}{entry.get('version', '')}{marker}", hashes))
    urls = [str(source.get("url")) for source in tables(table(lock, "_meta").get("sources"))]
    indexes = [url for url in urls if not _PUBLIC.match(url)]
    return _locked(lines, indexes, hashed, reads_tree, map(normal, packages))


def direct_reference(entry: Table) -> str:
    """Where a package comes from when it is not an index, or ""."""
    for key in ("git", "url", "file", "path"):
        value = entry.get(key)
        if isinstance(value, str) and not re.search(r"\s", value):
            if key == "git":
                at = next((entry[k] for k in ("ref", "rev", "tag", "branch") if isinstance(entry.get(k), str)), None)
                return f"git+{value}{f'@{at}' if at else ''}"
            return value if "://" in value else f"file://${{PWD}}/{value}"
    return ""


def matches_poetry(version: str, constraint: str) -> bool:
    """Whether a Python is allowed by a constraint of Poetry's."""
    return any(matches_python(parse(version), pep440(part)) for part in re.split(r"\|\|?", constraint))


def pep440(constraint: str) -> str:
    """Poetry's `^1.2`, `~1.2`, `1.*` and `*` as PEP 440 specifiers; the last of alternatives by `||`."""
    parts = re.split(r"\s*,\s*|\s+(?=[\^~<>=!\d])", re.split(r"\|\|?", constraint)[-1].strip())
    return ",".join(filter(None, map(_specifier, parts)))


def _specifier(text: str) -> str:
    found = re.fullmatch(r"(\^|~=|~|>=|<=|===?|!=|<|>)?\s*v?(\d[\w.!+-]*?)(\.\*)?", text.strip())
    if found is None:
        return ""
    operator, base, star = found[1] or "", found[2], found[3] or ""
    numbers = [int(part) for part in re.findall(r"\d{1,9}", base)[:3]]
    if operator in ("^", "~"):
        keep = min(2, len(numbers)) if operator == "~" else 1 + next((i for i, n in enumerate(numbers) if n), 0)
        keep = min(keep, len(numbers))
        above = [*numbers[: keep - 1], numbers[keep - 1] + 1]
        return f">={base},<{'.'.join(map(str, above))}"
    return f"{operator or '=='}{base}{star}"
