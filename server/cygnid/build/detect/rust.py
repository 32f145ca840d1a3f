"""Rust: one program built by cargo."""

import posixpath
import re
import shlex
from typing import Any, cast

from cygnid.build.base import BuildFailed
from cygnid.build.detect.files import Files
from cygnid.build.detect.inputs import any_version, first_word, table, text_of, toml_file, web_program
from cygnid.build.detect.language import Found, Language, Look, Recipe
from cygnid.build.detect.versions import Version, Wish, choose, matches_python, parse, tool_version

_FRAMEWORKS = ("axum", "actix-web", "rocket", "warp", "tide", "poem")


def detect(look: Look) -> Found | None:
    files = look.files
    if "Cargo.toml" not in files.names():
        return None
    top = toml_file(files, "Cargo.toml")
    version = _version(look, top)
    locked = "Cargo.lock" in files.names()
    evidence = "Cargo.toml, Cargo.lock" if locked else "Cargo.toml"
    packages = [(folder, toml_file(files, posixpath.join(folder, "Cargo.toml"))) for folder in _members(files, top)]
    programs = [name for folder, package in packages for name in _programs(files, folder, package)]
    if not programs:
        return Found(
            language="rust",
            evidence=evidence,
            version=version,
            unstartable="add src/main.rs or a [[bin]] to Cargo.toml",
        )
    own = text_of(table(top, "package").get("name")) or ""
    program = text_of(table(top, "package").get("default-run")) or web_program(programs, own)
    notes = () if locked else ("There is no Cargo.lock: versions may differ from one build to the next.",)
    if len(set(programs)) > 1:
        others = ", ".join(name for name in dict.fromkeys(programs) if name != program)
        notes += (f"several programs: {program} was taken, not {others}; name another with default-run.",)
    name = shlex.quote(program)
    build = f"cargo build --release{' --locked' if locked else ''} --bin {name}"
    dependencies = {name for _, package in packages for name in table(package, "dependencies")}
    return Found(
        language="rust",
        framework=next((name for name in _FRAMEWORKS if name in dependencies), None),
        evidence=evidence,
        version=version,
        build_command=f'{build} && mkdir -p bin && cp "$CARGO_TARGET_DIR"/release/{name} bin/{name}',
        web=f"bin/{name}",
        notes=notes,
    )


def _version(look: Look, top: dict[str, Any]) -> str:
    files = look.files
    channel = text_of(table(toml_file(files, "rust-toolchain.toml"), "toolchain").get("channel"))
    source = "rust-toolchain.toml"
    if channel is None and (plain := files.read("rust-toolchain")) is not None:
        found = re.search(r'(?m)^\s*channel\s*=\s*"([^"]+)"', plain)
        channel, source = (found[1] if found else first_word(files, "rust-toolchain")), "rust-toolchain"
    nightly = [version for version in look.versions("rust") if "-" in version]
    stable = [version for version in look.versions("rust") if "-" not in version]
    if channel is not None and channel.startswith(("nightly", "beta")):
        kind = channel.partition("-")[0]
        return choose("Rust", [one for one in nightly if kind in one], Wish(channel, source), any_version)
    if channel is not None and channel != "stable":
        return choose("Rust", stable, Wish(channel, source), matches_python)
    if channel is None and (wish := tool_version(files, "rust")):
        return choose("Rust", stable, wish, matches_python)
    minimum = text_of(table(top, "package").get("rust-version"))
    return choose("Rust", stable, Wish(minimum, "Cargo.toml (rust-version)") if minimum else None, _at_least)


def _at_least(version: Version, text: str) -> bool:
    return version >= parse(text)


def _members(files: Files, top: dict[str, Any]) -> list[str]:
    """Folders of the packages; "" is the top."""
    folders = [""] if "package" in top else []
    members = table(top, "workspace").get("members")
    for member in cast("list[Any]", members) if isinstance(members, list) else []:
        if not isinstance(member, str) or ".." in member:
            continue
        before, star, _ = member.partition("*")
        parent = before.rstrip("/")
        folders += [posixpath.join(parent, name) for name in files.names(parent)] if star else [member]
    return [folder for folder in folders if files.read(posixpath.join(folder, "Cargo.toml")) is not None]


def _programs(files: Files, folder: str, package: dict[str, Any]) -> list[str]:
    name = text_of(table(package, "package").get("name"))
    if name is None and "package" in package:
        raise BuildFailed(
            "source_invalid", f"{posixpath.join(folder, 'Cargo.toml')} has no package.name.", hint="Correct the file."
        )
    bins = package.get("bin")
    listed = [table(one).get("name") for one in cast("list[Any]", bins)] if isinstance(bins, list) else []
    found = [one for one in listed if isinstance(one, str)]
    if name and not found and files.read(posixpath.join(folder, "src/main.rs")) is not None:
        found.append(name)
    others = files.names(posixpath.join(folder, "src/bin"))
    return [*found, *(one.removesuffix(".rs") for one in others if one.removesuffix(".rs") not in found)]


LANGUAGE = Language(
    name="rust",
    looked_for="Rust: Cargo.toml",
    detect=detect,
    names=frozenset(_FRAMEWORKS),
    recipe=Recipe(
        build_env={
            "CARGO_HOME": "{cache}/cargo",
            "CARGO_TARGET_DIR": "{cache}/cargo-target",
            "CARGO_TERM_COLOR": "never",
        },
        caches=("cargo", "cargo-target"),
        not_released=("*.rs", "/target/"),
        runs_alone=True,
    ),
)
