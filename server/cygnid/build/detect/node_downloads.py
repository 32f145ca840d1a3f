"""Which of npm's downloads every project may have: those of public packages, by the hash that the lock names."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence

from cygnid.build.detect.language import Download, Installing

_PUBLIC = "https://registry.npmjs.org/"
_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")  # npm's own order
_DETECTED = re.compile(r"npm ci --(include|omit)=dev")
_ENTRY = re.compile(r'(?:"resolved":\s*"([^"]*)",\s*)?"integrity":\s*"([^"]*)"')
"""Of a lock's package. Not read as JSON: of a long lock only the beginning is seen."""
_HARMLESS = re.compile(r"\s*([#;].*|[\w-]+(\s*=\s*(true|false|\d+))?)?\s*")
"""A line of .npmrc that names neither a registry nor a file nor a password."""


def downloads(installing: Installing) -> Sequence[Download]:
    """What the lock names, as npm's cache keeps it (cacache's content-v2: by SHA-512). Nothing where the packages could
    be the project's own: it logs in to a registry, names one, or installs in a way of its own."""
    app, operator = installing.app, installing.operator
    if not _DETECTED.fullmatch(installing.command) or _is_own(installing):
        return ()
    text = next((text for name in _LOCKS if (text := app.read(name)) is not None), "")
    registries = (_PUBLIC, *(url for name, url in operator.items() if name.lower() == "npm_config_registry" and url))
    named = dict.fromkeys(
        digest
        for resolved, integrity in _ENTRY.findall(text)
        if not resolved or resolved.startswith(registries)  # empty: of the registry that is asked now
        for digest in _sha512(integrity)
    )
    return [_kept(digest) for digest in named]


def _is_own(installing: Installing) -> bool:
    lines = (installing.app.read(".npmrc") or "").splitlines()
    return (
        ".npmrc" in installing.home.names()
        or not all(map(_HARMLESS.fullmatch, lines))
        or any(name.lower().startswith("npm_config_") for name in installing.env)
    )


def _sha512(integrity: str) -> Iterable[str]:
    """Hex of each SHA-512 in a Subresource Integrity text (W3C)."""
    for token in integrity.split():
        algorithm, _, text = token.partition("-")
        if algorithm == "sha512":
            try:
                digest = base64.b64decode(text.partition("?")[0], validate=True).hex()
            except binascii.Error:
                continue
            if len(digest) == 128:
                yield digest


def _kept(digest: str) -> Download:
    return Download(path=f"npm/_cacache/content-v2/sha512/{digest[:2]}/{digest[2:4]}/{digest[4:]}", sha512=digest)
