"""Django: its folder, its settings, and the module that serves it."""

import posixpath
import re
from dataclasses import dataclass

from cygnid.build.detect.files import Files

_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)["']""")


@dataclass(frozen=True, kw_only=True)
class Django:
    folder: str
    """Where manage.py is, or "" at the top."""
    module: str
    """That serves it, such as `shop.wsgi`."""
    is_asgi: bool
    settings: str | None
    """The module that the server takes; None: nobody says."""
    collects: bool
    """It has a folder for its static files."""


def find(files: Files) -> Django | None:
    """None without manage.py or without a module that serves it."""
    names = files.names()
    folder = next((name for name in ("", *names) if "manage.py" in files.names(name)), None)
    if folder is None:
        return None
    manage = _settings(files, posixpath.join(folder, "manage.py"))
    below = [name for name in files.names(folder) if re.fullmatch(r"[A-Za-z_]\w*", name)]
    named = (manage or "").partition(".")[0]
    for package in sorted(below, key=lambda name: name != named):
        inside = files.names(posixpath.join(folder, package))
        for kind in ("wsgi", "asgi"):
            path = posixpath.join(folder, package, f"{kind}.py")
            if f"{kind}.py" in inside:
                settings = _settings(files, path) or manage
                return Django(
                    folder=folder,
                    module=f"{package}.{kind}",
                    is_asgi=kind == "asgi",
                    settings=settings,
                    collects=_collects(files, folder, settings),
                )
    return None


def _settings(files: Files, path: str) -> str | None:
    found = _SETTINGS.search(files.read(path) or "")
    return found[1] if found else None


def _collects(files: Files, folder: str, settings: str | None) -> bool:
    if settings is None:
        return False
    parts = settings.split(".")
    beside = posixpath.join(folder, *parts[:-1])
    return any(
        re.search(r"^\s*STATIC_ROOT\s*=", files.read(posixpath.join(beside, name)) or "", re.MULTILINE)
        for name in files.names(beside)
        if name.endswith(".py")
    )
