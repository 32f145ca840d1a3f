"""What to do about a command or process that failed, from its last lines: the reasons that nearly everybody meets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ENVIRONMENT = re.compile(r"environ|<frozen os>|/os\.py")


@dataclass(frozen=True)
class _Reason:
    says: re.Pattern[str]
    then: str
    """The next step; `{1}` is what the pattern's first group found."""


def _reason(says: str, then: str) -> _Reason:
    return _Reason(re.compile(says), then)


_COMPILER = "The machine lacks a compiler: `apt-get install build-essential`, or use packages that come compiled."
_HEADERS = {
    "Python.h": "python3-dev",
    "libpq-fe.h": "libpq-dev",
    "ffi.h": "libffi-dev",
    "mysql.h": "default-libmysqlclient-dev",
    "openssl/ssl.h": "libssl-dev",
    "zlib.h": "zlib1g-dev",
    "jpeglib.h": "libjpeg-dev",
    "libxml/parser.h": "libxml2-dev",
    "libxslt/xslt.h": "libxslt1-dev",
    "yaml.h": "libyaml-dev",
    "sqlite3.h": "libsqlite3-dev",
    "vips/vips.h": "libvips-dev",
    "cairo.h": "libcairo2-dev",
    "ldap.h": "libldap2-dev",
    "lber.h": "libldap2-dev",
    "sasl/sasl.h": "libsasl2-dev",
}
"""A header that is often missing → Debian's package of it."""

_REASONS = (
    # programs that are not there
    _reason(r"(?:sh|bash): (?:\d+: |line \d+: )?(?:exec: )?(?:gcc|g\+\+|cc|c\+\+|make|cmake): .*not found", _COMPILER),
    _reason(
        r"(?:error: command '(?:gcc|cc|x86_64-linux-gnu-gcc)' failed: No such file|"
        r"gyp ERR! stack Error: not found: make)",
        _COMPILER,
    ),
    _reason(
        r"(?:spawn git ENOENT|Git executable not found|\[Errno 2\] No such file or directory: 'git')",
        "A dependency comes from a git repository, and builds have no git: depend on a published version of it.",
    ),
    _reason(
        r"(?:sh|bash): (?:\d+: |line \d+: )?(?:exec: )?(\S+): Permission denied$",
        "The file may not be run: `git update-index --chmod=+x {1}`, commit, and deploy again.",
    ),
    _reason(
        r"(?:sh|bash): (?:\d+: |line \d+: )?(?:exec: )?(\S+): (?:command )?not found$",
        "The program {1} is not there: add what brings it to the dependencies, or change the command.",
    ),
    # libraries of the system
    _reason(
        r"pg_config executable not found",
        "Use the package psycopg2-binary or psycopg[binary], which needs nothing of the machine; or `apt-get "
        "install libpq-dev`.",
    ),
    _reason(r"fatal error: (\S+\.h): No such file or directory", "A header of the system is missing: {header}."),
    _reason(
        r"error while loading shared libraries: (\S+?):",
        "The machine lacks the library {1}: install Debian's package that has it, or a build of the "
        "dependency that brings its own.",
    ),
    # languages and versions
    _reason(
        r"No module named 'distutils'",
        "Python has no distutils since 3.12: name an older one in .python-version, or a newer version of "
        "what needs it.",
    ),
    _reason(
        r"No module named 'pkg_resources'",
        "Add setuptools<81 to the dependencies: pkg_resources is part of it and newer ones have it no more.",
    ),
    _reason(
        r"(?:EBADENGINE|The engine \"node\" is incompatible)",
        'The dependencies want another Node: name it in package.json, "engines": {{"node": "…"}}.',
    ),
    _reason(
        r"(?:requires a different Python|does not satisfy Python|Requires-Python|only Python versions)",
        "The dependencies want another Python: name it in .python-version.",
    ),
    # locks and versions of dependencies
    _reason(
        r"npm ci. can only install packages when your package\.json and package-lock\.json",
        "The lock file is older than package.json: run `npm install` and commit package-lock.json.",
    ),
    _reason(
        r"(?:ERR_PNPM_OUTDATED_LOCKFILE|ERR_PNPM_LOCKFILE_CONFIG_MISMATCH)",
        "The lock file is older than package.json: run `pnpm install` and commit pnpm-lock.yaml.",
    ),
    _reason(
        r"(?:Your lockfile needs to be updated|YN0028)",
        "The lock file is older than package.json: run `yarn install` and commit yarn.lock.",
    ),
    _reason(
        r"cannot create the lock file", "There is no lock file: run `cargo generate-lockfile` and commit Cargo.lock."
    ),
    _reason(
        r"(?:the lock file .* needs to be updated|cannot update the lock file)",
        "The lock file is older than Cargo.toml: run `cargo update --workspace` and commit Cargo.lock.",
    ),
    _reason(r"(?:missing go\.sum entry|updates to go\.mod needed)", "Run `go mod tidy` and commit go.mod and go.sum."),
    _reason(
        r"Your bundle only supports platforms",
        "Run `bundle lock --add-platform x86_64-linux` and commit Gemfile.lock.",
    ),
    _reason(
        r"requires (ext-\w+) .*missing from your system",
        "PHP lacks {1}: install Debian's package of it, php-…, on the machine.",
    ),
    _reason(
        r"ERESOLVE",
        "Two dependencies want different versions of a third: the lines above name them. Change one, or put "
        "`legacy-peer-deps=true` into .npmrc.",
    ),
    _reason(
        r"No solution found when resolving dependencies",
        "No versions of the dependencies fit together: the lines below it name those that do not.",
    ),
    # registries
    _reason(
        r"(?:npm (?:ERR!|error) code E40[13]|401 Unauthorized|403 Forbidden.*(?:registry|index|simple))",
        "The registry wants a login: set its token as a variable of target build, and name it in .npmrc or "
        "the index URL.",
    ),
    _reason(
        r"npm (?:ERR!|error) 404 .*?'?(@?[\w./-]+?)(?:@[^\s']*)?'? is not in this registry",
        "The registry has no package {1}: check its name, or log in if it is private.",
    ),
    _reason(
        r"Because (\S+) was not found in the package registry",
        "The registry has no package {1}: check its name, or its index if it is private.",
    ),
    _reason(
        r"(?:ENOTFOUND|EAI_AGAIN|Temporary failure in name resolution|dns error|Could not resolve host)",
        "A host could not be found from inside the build: `cygnid doctor` says whether builds reach the network here.",
    ),
    # what builds meet
    _reason(
        r"JavaScript heap out of memory",
        "Node ran out of memory: set NODE_OPTIONS=--max-old-space-size=… as a variable of target build, "
        "within what a build may use.",
    ),
    _reason(
        r"No space left on device",
        "The disk is full, or the build wrote more than it may: clear the build cache, or write less.",
    ),
    _reason(
        r"Missing script: \"?'?([\w:-]+)",
        "package.json has no script {1}: add it, or name another command in cygni.toml.",
    ),
    _reason(r"error TS\d+", "TypeScript found errors: `npx tsc --noEmit` shows them on your machine."),
    _reason(
        r"failed to resolve import \"([^\"]+)\"",
        "Add {1} to the dependencies, or mend the path: names of files are told apart by capitals here.",
    ),
    _reason(
        r"Couldn't find any `?pages`? or `?app`? directory",
        "Next.js looks for `app` or `pages` in the root folder: set root_dir in cygni.toml to where they are.",
    ),
    _reason(
        r"without having set the STATIC_ROOT",
        "Set STATIC_ROOT in Django's settings: collectstatic puts the files there.",
    ),
    _reason(
        r"The SECRET_KEY setting must not be empty",
        "Set it for the build too: cygni env set SECRET_KEY=…, with the target both.",
    ),
    _reason(
        r"@prisma/client did not initialize yet",
        "Run `prisma generate` in the build: put it into the script postinstall.",
    ),
    _reason(
        r"Environment variable not found: ([A-Za-z_]\w*)",
        "It needs the variable {1}: cygni env set {1}=…, with the target both if the build needs it, then "
        "deploy again.",
    ),
    _reason(
        r"(?:EADDRINUSE|[Aa]ddress already in use)",
        "Something of the app has the port already: let exactly one program listen on $PORT, and no other on "
        "a fixed one.",
    ),
    # modules
    _reason(
        r"ModuleNotFoundError: No module named '(\w+)",
        "If {1} is not a module of your own, add its package to the dependencies.",
    ),
    _reason(
        r"Cannot find (?:module|package) '((?:@[^'/]+/)?[^'./][^'/]*)(?:/[^']*)?'",
        "Add {1} to the dependencies: npm install {1}",
    ),
)
"""Of one line the first counts, so what is told more exactly comes first."""
_NO_KEY = re.compile(r"KeyError: '([A-Za-z_][A-Za-z0-9_]*)'")


def advice(lines: Sequence[str]) -> str | None:
    """A next step, where the last lines leave no doubt about the reason; the last reason counts."""
    found = reason(lines)
    return None if found is None else found[1]


def reason(lines: Sequence[str]) -> tuple[int, str] | None:
    """(which line says why, the next step), likewise."""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        for known in _REASONS:
            if found := known.says.search(line):
                return index, known.then.format(*(found[0], *found.groups()), header=_package(found))
        if (found := _NO_KEY.search(line)) and _ENVIRONMENT.search("\n".join(lines[max(0, index - 5) : index])):
            return index, f"It needs the variable {found[1]}: cygni env set {found[1]}=…, then deploy again."
    return None


def telling(lines: Sequence[str], index: int | None, *, count: int = 20) -> Sequence[str]:
    """So many lines for people: the last ones, or those from shortly before the line that says why, where a tool
    printed its whole manual after it."""
    last = max(0, len(lines) - count)
    first = last if index is None else min(last, max(0, index - 2))
    return lines[first : first + count]


def _package(header: re.Match[str]) -> str:
    """Where a header comes from, for people."""
    name = header[1] if header.groups() else ""
    package = _HEADERS.get(name)
    return f"{name} is in Debian's {package}, `apt-get install {package}`" if package else str(name)
