"""What names, labels and settings must be, beyond the types of their fields: every problem of an input at once."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cygnid.build import patterns
from cygnid.core.errors import FieldError, ValidationError
from cygnid.resources.projects.schemas import BuildSettings, ProcessInput, ProjectSource
from cygnid.settings import Settings
from cygnid.source.git_url import BadUrl, is_ref, parse

MAX_LABELS, MAX_PROCESSES = 32, 50
RESERVED = frozenset({"admin", "api", "app", "docs", "git", "localhost", "status", "www"})
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_REASON = "Must be alphanumeric with hyphens"


def project_name(settings: Settings, name: str) -> list[FieldError]:
    """Names are hosts: one label of DNS, without the `--` that stands before an environment's name, and none that
    the installation answers to itself."""
    own = urlsplit(settings.api_url).hostname
    is_own = name in RESERVED or (_is_name(name, 40) and urlsplit(settings.url(name, "production")).hostname == own)
    return [] if _is_name(name, 40) and not is_own else [_wrong("name", _NAME_REASON)]


def environment_name(name: str) -> list[FieldError]:
    return [] if _is_name(name, 21) else [_wrong("name", _NAME_REASON)]


def labels(given: Mapping[str, str | None]) -> list[FieldError]:
    """Null: the label is to be removed."""
    found = [_wrong(f"labels.{key}", "A key has 1 to 63 characters") for key in given if not 1 <= len(key) <= 63]
    found += [
        _wrong(f"labels.{key}", "A value has at most 255 characters", "too_long")
        for key, value in given.items()
        if value is not None and len(value) > 255
    ]
    if sum(value is not None for value in given.values()) > MAX_LABELS:
        found.append(_wrong("labels", f"There are at most {MAX_LABELS} labels", "too_long"))
    return found


def build(settings: BuildSettings) -> list[FieldError]:
    folders = {"rootDir": settings.root_dir, "outputDir": settings.output_dir}
    found = [
        _wrong(f"build.{name}", "Must be a folder inside the repository, relative to its root")
        for name, folder in folders.items()
        if folder is not None and (folder.startswith("/") or ".." in folder.split("/"))
    ]
    if len(settings.watch_paths) > patterns.MOST:
        found.append(_wrong("build.watchPaths", f"There are at most {patterns.MOST} patterns", "too_long"))
    return found + [
        _wrong(f"build.watchPaths[{index}]", problem.capitalize())
        for index, pattern in enumerate(settings.watch_paths)
        if (problem := patterns.problem(pattern))
    ]


def source(settings: Settings, given: ProjectSource) -> list[FieldError]:
    """Where it may be fetched from is seen when it is, since names lead elsewhere tomorrow."""
    found = branch("source.branch", given.branch)
    try:
        url = parse(given.repository_url)
    except BadUrl as bad:
        return [_wrong("source.repositoryUrl", f"{bad}. {bad.hint}".removesuffix(". ")), *found]
    if url.scheme == "http" and not settings.is_allowed_private(url.host):
        found.insert(0, _wrong("source.repositoryUrl", "Must begin with https:// or ssh://", "not_allowed"))
    if url.scheme == "file" and settings.git_file_root is None:
        found.insert(0, _wrong("source.repositoryUrl", "Must begin with https:// or ssh://", "not_allowed"))
    return found


def branch(field: str, name: str | None) -> list[FieldError]:
    return [] if name is None or is_ref(name) else [_wrong(field, "Is no name that git takes for a branch")]


def processes(given: Sequence[ProcessInput]) -> list[FieldError]:
    found: list[FieldError] = []
    if len(given) > MAX_PROCESSES:
        found.append(_wrong("processes", f"There are at most {MAX_PROCESSES} process types", "too_long"))
    types = [process.type for process in given]
    for index, process in enumerate(given):
        if process.type in types[:index]:
            found.append(_wrong(f"processes[{index}].type", "Is named twice"))
        if process.cpu is not None and not is_cpu(process.cpu):
            found.append(_wrong(f"processes[{index}].cpu", "Must be a multiple of 0.05"))
    return found


def is_cpu(cores: float) -> bool:
    """A multiple of 0.05, which no binary fraction is exactly."""
    return abs(cores * 20 - round(cores * 20)) < 1e-6


def check(*found: list[FieldError]) -> None:
    """Raises ValidationError naming every problem."""
    if problems := [problem for part in found for problem in part]:
        raise ValidationError.of(problems)


def _is_name(name: str, longest: int) -> bool:
    return len(name) <= longest and _NAME.fullmatch(name) is not None


def _wrong(field: str, reason: str, code: str = "invalid") -> FieldError:
    return FieldError(field=field, code=code, reason=reason)
