"""What a build left becomes what is kept: the right folder, without secrets, sealed."""

import os
from pathlib import Path

from cygnid.build.base import BuildFailed, BuildRequest, Plan
from cygnid.build.detect.languages import LANGUAGES, recipe_of
from cygnid.build.patterns import matches
from cygnid.build.process_spec import dependency_folders, installed_folders, mount_points
from cygnid.build.seal import finish_static, refuse_secrets, seal
from cygnid.build.threads import go_on

DEPENDENCIES = tuple(sorted({folder for language in LANGUAGES if (folder := language.recipe.dependencies)}))
"""Names of the folders that hold installations."""
_NOT_SERVED = frozenset({"cygni.toml", "Procfile", *DEPENDENCIES})
"""Beside names with a leading dot: what lies in a served source folder and is not for its visitors."""


def finish(plan: Plan, request: BuildRequest, work: Path, clock: Path) -> tuple[int, str | None]:
    """Seal `work`/release, which is taken from the output folder when it is static. Returns its size in bytes and its
    fallback. Raises BuildFailed. `clock` as for `finish_static`."""
    release = work / "release"
    if plan.kind == "static":
        _take_output(plan, work)
        refuse_secrets(release, request.secrets)
        finish_static(release, clock)
    else:
        _leave_sources(plan, release)
        refuse_secrets(release, request.secrets)
    fallback = plan.fallback if plan.fallback and (release / plan.fallback).is_file() else None
    return seal(release, for_overlay=plan.kind != "static"), fallback


def finish_shared(plan: Plan, request: BuildRequest, work: Path) -> None:
    """Seal the installation in `work`. Raises BuildFailed."""
    first = work / dependency_folders(plan)[0]
    if first.is_symlink() or not first.is_dir():
        first.unlink(missing_ok=True)
        first.mkdir()
    for name in installed_folders(plan, work):
        folder = work / name
        for path in (folder / point for point in mount_points(plan)):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
                path.mkdir()
        refuse_secrets(folder, request.secrets)
    seal(work)
    work.chmod(0o711)


def _leave_sources(plan: Plan, release: Path) -> None:
    """Remove what was there for building alone."""
    root = release / plan.root
    if not recipe_of(plan.language).not_released or not _is_folder_in(release, root):
        return
    root = root.resolve()
    files = [os.path.relpath(Path(folder, name), root) for folder, _, names in os.walk(root) for name in names]
    for name in matches(recipe_of(plan.language).not_released, files):
        go_on()
        (root / name).unlink()
        for folder in (root / name).parents:
            if folder == root or any(folder.iterdir()):
                break
            folder.rmdir()


def _take_output(plan: Plan, work: Path) -> None:
    """Make the output folder the release. The build may have put links in place of all folders."""
    built = (work / "release").rename(work / "built")
    root = built / plan.root
    output = root / (plan.output_dir or ".")
    if not _is_folder_in(built, output):
        folders = [path.name for path in root.iterdir() if path.is_dir()] if _is_folder_in(built, root) else []
        there = ", ".join(sorted(folders)[:20]) or "none"
        raise BuildFailed(
            "build_error",
            f"The output folder {plan.output_dir} is not there after the build.",
            hint=f"Set the output folder to what the build makes. Folders there are: {there}.",
        )
    is_root = output.resolve() == root.resolve()
    output.chmod(0o755)
    release = output.resolve().rename(work / "release")
    aside = work / "not-served"
    aside.mkdir()
    if is_root:
        for path in list(release.iterdir()):
            if path.name in _NOT_SERVED or (path.name.startswith(".") and path.name != ".well-known"):
                path.rename(aside / path.name)


def _is_folder_in(top: Path, path: Path) -> bool:
    return path.is_dir() and path.resolve().is_relative_to(top.resolve())
