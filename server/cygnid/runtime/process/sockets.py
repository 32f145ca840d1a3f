"""What the kernel's tables of TCP sockets (proc_pid_net(5), net/tcp and net/tcp6) say of an address: pure."""

import ipaddress
import struct
from collections.abc import Iterator
from typing import Literal

ESTABLISHED, LISTEN = "01", "0A"

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def decode(text: str) -> tuple[Ip, int]:
    """`0100007F:1F90` → (127.0.0.1, 8080): words of 32 bits in the machine's byte order. IPv4 in IPv6 becomes IPv4."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    ip = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip, int(port, 16)


def _rows(table: str) -> Iterator[tuple[str, str, str]]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        yield fields[1], fields[2], fields[3]


def listening(table: str, *, host: str, port: int) -> Literal["reachable", "loopbackOnly", "no"]:
    """Whether one of the table's sockets accepts connections to host:port, or only such from its own loopback."""
    suffix = f":{port:04X}"
    found: Literal["loopbackOnly", "no"] = "no"
    for local, _, state in _rows(table):
        if state != LISTEN or not local.endswith(suffix):
            continue
        ip = decode(local)[0]
        if ip.is_unspecified or str(ip) == host:
            return "reachable"
        if ip.is_loopback:
            found = "loopbackOnly"
    return found


def connections(table: str, *, host: str, port: int) -> int:
    """Established connections whose far end is host:port: those that clients of this table's machine hold."""
    suffix = f":{port:04X}"
    wanted = (ipaddress.ip_address(host), port)
    return sum(
        state == ESTABLISHED and remote.endswith(suffix) and decode(remote) == wanted
        for _, remote, state in _rows(table)
    )
