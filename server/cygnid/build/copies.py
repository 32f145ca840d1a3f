"""Copies of the machine's languages for other users: complete in themselves, compiled, and tried before they are
offered."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from cygnid.build.toolchains import ALONE, SYSTEM, Toolchain

_RECIPE = 2
"""Part of a copy's name: raise it when copies are made in another way. Older ones stay for the releases that name
them."""
_NOBODY = 65534
_SECONDS = 120
LEFT_OUT = ("site-packages", "include", "share", "test", "tests", "config-*", "*.opt-*.pyc")
_LEFT_OUT = {
    "rust": ("share", "*-analyzer*", "clippy-driver", "cargo-clippy", "rust-src"),
    "java": ("src.zip", "man", "demo"),
}
_FIXED = frozenset({"ruby", "php"})
"""Programs that look for their libraries where they were installed: they run there or not at all."""
_SYSTEM_LIBRARIES = (str(SYSTEM), "/lib", "/lib64")
_MAPS = "/proc/self/maps"
_TRY_PYTHON = f"import ctypes, hashlib, sqlite3, ssl, zlib; print(open({_MAPS!r}).read())"
_TRY_NODE = f"require('crypto'); require('https'); console.log(require('fs').readFileSync({_MAPS!r}, 'utf8'))"


_TRIALS = {
    "go": ("go", "list", "std"),
    "rust": ("cargo", "--version", "--verbose"),
    "ruby": ("ruby", "-e", "require 'openssl'; require 'zlib'; require 'rubygems'"),
    "java": ("javac", "-version"),
    "php": ("php", "-r", "exit(extension_loaded('json') ? 0 : 1);"),
    "maven": ("mvn", "--version"),
    "bundler": ("bundle", "--version"),
    "hugo": ("hugo", "version"),
}


class Unusable(Exception):
    """The copy does not run for others; the message says why."""


def copy_of(toolchain: Toolchain, into: Path) -> Toolchain:
    """Where `install` puts it; itself when it needs no copy."""
    if toolchain.root.is_relative_to(SYSTEM) or toolchain.root.is_relative_to(into) or toolchain.language in _FIXED:
        return toolchain
    return _at(toolchain, into / f"{toolchain.language}-{toolchain.version}-{_RECIPE}")


def install(toolchain: Toolchain, into: Path) -> Toolchain:
    """Copy a toolchain into a folder of `into`, readable for everyone, unless it is the system's own or there already.
    A toolchain in somebody's home is closed to the users that builds and applications run as. Raises Unusable when
    the copy, run as another user, does not work or takes libraries from elsewhere; nothing is left then."""
    copied = copy_of(toolchain, into)
    if copied == toolchain and toolchain.language in _FIXED and not toolchain.root.is_relative_to(SYSTEM):
        _try(toolchain, into)
    if copied.root.exists() or copied == toolchain:
        return copied
    part = into / f".{copied.root.name}.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    try:
        if toolchain.language in ALONE:
            part.mkdir()
            shutil.copy2(toolchain.bin / toolchain.language, part)
        else:
            left_out = LEFT_OUT if toolchain.language in ("python", "node") else _LEFT_OUT.get(toolchain.language, ())
            shutil.copytree(toolchain.root, part, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
        if toolchain.language == "node":
            _link_npm(part)
        elif toolchain.language == "python":
            _find_libraries_inside(part, toolchain.root)
        _open(part)
        _try(_at(copied, part), into)
        if toolchain.language == "python":
            _compile(_at(copied, part), copied.root)
        try:
            part.rename(copied.root)
        except OSError:
            if not copied.root.exists():  # else another process was faster: its copy is as good
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return copied


def _at(toolchain: Toolchain, root: Path) -> Toolchain:
    return replace(toolchain, root=root, bin=root / toolchain.bin.relative_to(toolchain.root))


def _find_libraries_inside(root: Path, before: Path) -> None:
    """Programs that were built with shared libraries look for them by the absolute path they were installed to
    (RUNPATH). Who may not look there would get the machine's library of the same name, of another version. So the
    path is made relative, and filled up by slashes, since it must not change its length."""
    wanted = re.compile(rb"(?<=[\0:])" + re.escape(os.fsencode(before / "lib")) + rb"(?=[\0:])")
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if path.is_symlink() or not _is_elf(path):
                continue
            content = path.read_bytes()
            inside = b"$ORIGIN/" + os.fsencode(os.path.relpath(root / "lib", folder))
            length = len(os.fsencode(before / "lib"))
            if len(inside) <= length and wanted.search(content):
                path.chmod(path.stat().st_mode | 0o200)
                path.write_bytes(wanted.sub(inside.ljust(length, b"/"), content))


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _link_npm(root: Path) -> None:
    """A wheel cannot hold links: its `npm` beside `node` looks for its library in the wrong place."""
    for name in ("npm", "npx"):
        target = f"../lib/node_modules/npm/bin/{name}-cli.js"
        if (root / "bin" / target).exists():
            (root / "bin" / name).unlink(missing_ok=True)
            (root / "bin" / name).symlink_to(target)


def _open(root: Path) -> None:
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _compile(toolchain: Toolchain, final: Path) -> None:
    """Nobody who runs it may write beside its modules, so what is not compiled now is compiled at each start of each
    process. Modules that do not compile are none that anybody imports."""
    library = toolchain.root / "lib"
    names = ("-s", str(toolchain.root), "-p", str(final))
    argv = [toolchain.python, "-I", "-m", "compileall", "-qq", *names, library]
    subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=600, check=False)


def _try(toolchain: Toolchain, into: Path) -> None:
    """Raises Unusable."""
    with tempfile.TemporaryDirectory(prefix=".try-", dir=into) as made:
        folder = Path(made)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        if toolchain.language == "node":
            _run(toolchain, folder, str(toolchain.bin / "npm"), "--version")
            programs = [(str(toolchain.bin / "node"), "-e", _TRY_NODE)]
        elif toolchain.language != "python":
            name, *arguments = _TRIALS.get(toolchain.language, (toolchain.language, "--version"))
            _run(toolchain, folder, str(toolchain.bin / name), *arguments)
            return
        else:
            _run(toolchain, folder, str(toolchain.python), "-I", "-m", "venv", "--without-pip", "venv")
            programs = [
                (str(toolchain.python), "-I", "-c", _TRY_PYTHON),
                (str(folder / "venv" / "bin" / "python"), "-I", "-c", _TRY_PYTHON),
            ]
        for program in programs:
            _judge_libraries(toolchain, _run(toolchain, folder, *program))


def _run(toolchain: Toolchain, folder: Path, *argv: str) -> str:
    """Run as another user when root, whose home is closed to it as to applications."""
    other = _NOBODY if os.geteuid() == 0 else None
    what = f"`{Path(argv[0]).name} {' '.join(argv[1:])}`"
    try:
        done = subprocess.run(
            argv,
            env={"PATH": f"{toolchain.bin}:{os.defpath}", "HOME": str(folder), "LANG": "C.UTF-8"},
            cwd=folder,
            user=other,
            group=other,
            extra_groups=None if other is None else [],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except OSError as error:
        raise Unusable(f"{what} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Unusable(f"{what} took more than {_SECONDS} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise Unusable(f"{what} failed: {said[0]}")
    return done.stdout


def _judge_libraries(toolchain: Toolchain, maps: str) -> None:
    """Everything that was loaded must be there in a sandbox too: the copy's own or the system's, and of a Python
    itself only the copy's. Raises Unusable."""
    for path in sorted({line.split(maxsplit=5)[-1] for line in maps.splitlines() if ".so" in line}):
        inside = path.startswith(f"{toolchain.root}/")
        if not inside and not path.startswith(tuple(f"{folder}/" for folder in _SYSTEM_LIBRARIES)):
            raise Unusable(f"it needs {path}, which is not part of it")
        if not inside and Path(path).name.startswith("libpython"):
            raise Unusable(f"it takes {path} for its own library")
