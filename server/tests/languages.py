"""The languages of the examples, and why one cannot be tried on this machine."""

import socket
from pathlib import Path

import pytest

from cygnid.build.toolchains import find

EXAMPLES = Path(__file__).parents[2] / "examples"
_NEEDS = {
    "go": (["go"], None, "golang-go"),
    "rust": (["rust"], "index.crates.io", "cargo"),
    "java": (["java", "maven"], "repo.maven.apache.org", "default-jdk-headless maven"),
    "ruby": (["ruby"], None, "ruby"),
    "php": (["php"], None, "php-cli"),
    "hugo": (["hugo"], None, "hugo"),
    "deno": (["deno"], None, "deno (not packaged by Debian)"),
    "bun": (["bun"], None, "bun (not packaged by Debian)"),
}
"""Example → (toolchains, the registry that its build downloads from, packages of the system)."""
LANGUAGES = tuple(_NEEDS)


def need(name: str, registry: str | None = None) -> None:
    """Skip the test when this machine lacks a language, or reaches no registry of its packages."""
    toolchains, own, package = _NEEDS[name]
    if missing := [language for language in toolchains if not find(language)]:
        pytest.skip(f"no {' and no '.join(missing)} on this machine: install {package}")
    if (host := registry or own) and not _reaches(host):
        pytest.skip(f"{host} cannot be reached")


def hello(name: str) -> str:
    """What the example says."""
    return f"Hello from {'PHP' if name == 'php' else name.capitalize()}"


def _reaches(host: str) -> bool:
    try:
        socket.create_connection((host, 443), 5).close()
    except OSError:
        return False
    return True
