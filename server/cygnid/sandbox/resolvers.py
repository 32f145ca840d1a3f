"""Which name servers a sandbox asks."""

import ipaddress
from pathlib import Path

_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def resolvers(*, own_network: bool, files: tuple[Path, ...] = _FILES) -> list[str]:
    """The machine's. In a network of its own a sandbox cannot reach those on loopback (the stub of systemd-resolved is
    127.0.0.53), so the servers behind them, which systemd keeps in a file beside, are taken."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        found = [words[1] for line in text.splitlines() if len(words := line.split()) > 1 and words[0] == "nameserver"]
        usable = [address for address in found if not own_network or not _is_loopback(address)]
        if usable:
            return usable
    return []


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
