"""Which TCP sockets there are, asked of the kernel by sock_diag(7).

/proc/net/tcp would tell the same, but reading it walks a table that is sized for the whole machine: some 10 ms on a
big one, for every namespace.
"""

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cygnid.sandbox.namespaces import enter_network

ESTABLISHED, LISTEN = 1, 10

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI2s2s16s16sIII")
_MESSAGE = struct.Struct("=BBBB2s2s16s16s")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class TcpSocket:
    state: int
    local: tuple[Ip, int]
    remote: tuple[Ip, int]


def request(family: int, *, state: int, remote_port: int = 0) -> bytes:
    """Every TCP socket of this address family and state; 0: to whichever port."""
    port = struct.pack(">H", remote_port)
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << state, bytes(2), port, bytes(16), bytes(16), 0, 0, 0)
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, flags, 1, 0) + body


def parse(data: bytes) -> tuple[list[TcpSocket], bool]:
    """One datagram of the answer: (sockets, whether it was the last). Raises OSError."""
    found: list[TcpSocket] = []
    offset = 0
    while offset < len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind == _NLMSG_DONE:
            return found, True
        if kind == _NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", data, offset + _HEADER.size)
            raise OSError(-code, "sock_diag")
        family, state, _, _, lport, rport, local, remote = _MESSAGE.unpack_from(data, offset + _HEADER.size)
        found.append(
            TcpSocket(
                state=state,
                local=(_ip(family, local), int.from_bytes(lport)),
                remote=(_ip(family, remote), int.from_bytes(rport)),
            )
        )
        offset += (length + 3) & ~3
    return found, False


def listening(sockets: Iterable[TcpSocket], *, host: str, port: int) -> Literal["reachable", "loopbackOnly", "no"]:
    """Whether one of them accepts connections to host:port, or only such from its own loopback."""
    found: Literal["loopbackOnly", "no"] = "no"
    for each in sockets:
        ip, at = each.local
        if each.state != LISTEN or at != port:
            continue
        if ip.is_unspecified or str(ip) == host:
            return "reachable"
        if ip.is_loopback:
            found = "loopbackOnly"
    return found


def listeners(pid: int) -> list[TcpSocket]:
    """In the network of that process; none when it has ended."""
    own = Path("/proc/self/ns/net").readlink()
    try:
        if Path(f"/proc/{pid}/ns/net").readlink() == own:
            return list(_dump(LISTEN))
    except FileNotFoundError:
        return []
    except PermissionError:
        return list(_dump(LISTEN))  # an ordinary user's sandbox, which is always in the machine's network
    found: list[TcpSocket] = []

    def look() -> None:
        if enter_network(pid):
            found.extend(_dump(LISTEN))

    thread = threading.Thread(target=look, name="listeners")  # the namespace is the thread's, and ends with it
    thread.start()
    thread.join()
    return found


def connections(*, host: str, port: int) -> int:
    """Established connections whose far end is host:port: those that programs of the machine's network hold."""
    wanted = (ipaddress.ip_address(host), port)
    return sum(each.remote == wanted for each in _dump(ESTABLISHED, remote_port=port))


def _dump(state: int, *, remote_port: int = 0) -> Iterator[TcpSocket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        for family in (socket.AF_INET, socket.AF_INET6):
            link.send(request(family, state=state, remote_port=remote_port))
            last = False
            while not last:
                found, last = parse(link.recv(1 << 16))
                yield from found


def _ip(family: int, packed: bytes) -> Ip:
    """IPv4 in IPv6 becomes IPv4."""
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(packed[:4])
    ip = ipaddress.IPv6Address(packed)
    return ip.ipv4_mapped or ip
