"""What one language's detection hands back."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Found:
    language: str
    framework: str | None = None
    evidence: str
    """The files that gave it away."""
    version: str = ""
    """Of the toolchain, as chosen on this machine."""
    install_command: str | None = None
    install_files: tuple[str, ...] = ()
    """All that installing reads; () when it reads the tree."""
    install_key: str | None = None
    """Equal keys install the same; None when installing reads the tree."""
    build_command: str | None = None
    output_dir: str | None = None
    fallback: str | None = None
    web: str | None = None
    """Start command of the web process; None: a static site, or `unstartable` says why not."""
    unstartable: str = ""
    """Why no start command could be inferred, and what to add."""
    notes: tuple[str, ...] = ()
