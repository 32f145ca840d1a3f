"""What a language is to a build: how it is recognised, and how its builds and releases are furnished. All data."""

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cygnid.build.detect.files import Below, Files, MemoryFiles
from cygnid.build.toolchains import Toolchain


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a detector may look at."""

    files: Files
    """Of the folder that is built."""
    available: Mapping[str, Sequence[str]]
    """Language → its versions on this machine."""
    started: frozenset[str] = frozenset()
    """Those of the language's own programs that the app's commands begin with. Detectors are asked first without
    them: what lies there says more than what is started."""
    says_start: bool = False
    """The app's own files name its processes: what is inferred for starting it is not used."""
    above: Files = field(default_factory=lambda: MemoryFiles({}))
    """The whole source, when a folder in it is built; else nothing."""
    root: str = ""
    """That folder's path, or ""."""

    def upward(self) -> Iterator[tuple[str, Files]]:
        """The folder that is built and those above it, to the source's top."""
        yield self.root, self.files
        folder = self.root
        while folder:
            folder = posixpath.dirname(folder)
            yield folder, Below(self.above, folder) if folder else self.above

    def versions(self, language: str) -> Sequence[str]:
        return self.available.get(language, ())


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a detector hands back."""

    language: str
    framework: str | None = None
    evidence: str
    """The files that gave it away."""
    version: str = ""
    """Of the toolchain, as chosen on this machine."""
    tools: tuple[str, ...] = ()
    """`name-version` of further toolchains that building needs; they are not there when the release runs."""
    install_command: str | None = None
    install_files: tuple[str, ...] = ()
    """All that installing reads, in `install_root`; () when it reads the tree."""
    install_root: str | None = None
    """From the source's top, where it is not the folder that is built."""
    install_members: tuple[str, ...] = ()
    """Folders in there that may get dependencies of their own, beside it."""
    install_made: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name → text of files made by the detector: installing finds them in the folder MADE."""
    install_key: str | None = None
    """Equal keys install the same, so releases share it; None when installing reads the tree."""
    build_command: str | None = None
    output_dir: str | None = None
    """Of a static site; None: a program."""
    fallback: str | None = None
    release_command: str | None = None
    web: str | None = None
    """Start command of the web process; None: a static site, or `unstartable` says why not."""
    unstartable: str = ""
    """Why no start command could be inferred, and what to add."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Defaults for builds and processes; everybody else's values win."""
    notes: tuple[str, ...] = ()
    """For the log: what was inferred, from what, and how to override it."""


MADE = "/run/made"


def nothing_before(_toolchain: Toolchain, _with_pip: bool) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file of a package manager's cache whose content a lock file names by its hash."""

    path: str
    """In the folder that holds `caches`."""
    sha512: str
    """Hex."""


@dataclass(frozen=True, kw_only=True)
class Installing:
    """What decides whether the downloads of an installation may be shared with other projects."""

    command: str
    app: Files
    """Of the folder that is built."""
    home: Files
    """Of the home folder that builds of the environment have."""
    env: Collection[str]
    """Names of the variables that the project gives to its builds."""
    operator: Mapping[str, str]
    """Variables that the operator gives to all builds."""


def share_nothing(_installing: Installing) -> Sequence[Download]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How builds and releases of a language are furnished. In the texts of `path`, `env` and `build_env`, {root} is
    the app's folder as the release sees it, {home} that of its workspace or else the same, {toolchain} the toolchain's
    and {cache} the folder that holds `caches`; in `build_env`, {heap_mb} is three quarters of a build's memory."""

    dependencies: str | None = None
    """The folder of the app's that an installation is in; those that releases share are mounted there, read-only."""
    always_installs: bool = False
    """There is something to install also when no command is known."""
    before: Callable[[Toolchain, bool], str] = nothing_before
    """(toolchain, does the app's own command call pip) → shell line before the install command, or ""."""
    path: tuple[str, ...] = ()
    """Folders of programs, before those of the toolchain."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of builds and of whatever runs the release."""
    build_env: Mapping[str, str] = field(default_factory=dict[str, str])
    caches: tuple[str, ...] = ()
    """Folders kept from one build of a project to the next."""
    downloads: Callable[[Installing], Sequence[Download]] = share_nothing
    """Pure: what of `caches` every project may have, since the platform can check it by its hash."""
    scratch: tuple[str, ...] = ()
    """Folders inside of `dependencies` that tools write to even when they only build."""
    not_released: tuple[str, ...] = ()
    """Patterns of what is in the app's folder for building alone, as in .gitignore."""
    runs_alone: bool = False
    """What is built needs no toolchain to run."""


@dataclass(frozen=True, kw_only=True)
class Language:
    name: str
    """Also of its toolchain."""
    looked_for: str
    """For who deploys what nothing recognises: `Go: go.mod, main.go`."""
    detect: Callable[[Look], Found | None]
    """Pure. Raises BuildFailed when it is this language, and a file cannot be read or its version is missing."""
    names: frozenset[str] = frozenset()
    """What people may set as framework to mean this language, besides its name."""
    programs: frozenset[str] = frozenset()
    """A command that begins with one of these names the language where no file does."""
    recipe: Recipe = field(default_factory=Recipe)
