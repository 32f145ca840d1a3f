"""Where a connection that a tenant asked for may lead: public addresses, and what the operator allows besides.

A name is resolved once, every address it has is judged, and the caller connects to those addresses only: whoever
resolves it again may get others (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""A v4 address in a v6 one (RFC 6052), which a gateway of the network translates."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetRefused(Exception):
    """The host leads inside; the message names it and no address, which would be an answer of the inside."""


class TargetUnknown(Exception):
    """The host's name leads nowhere at the moment."""


class Targets:
    """`allowed`: names of hosts, addresses and networks (CIDR) that may be reached though they are not public."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        words = [word.strip().lower() for word in allowed if word.strip()]
        self._networks = [ipaddress.ip_network(word, strict=False) for word in words if _is_network(word)]
        self._names = frozenset(word for word in words if not _is_network(word))

    def is_allowed(self, host: str) -> bool:
        """Whether the operator names this host, or a network that this address is in."""
        if _is_network(host):
            return self._permits(ipaddress.ip_address(host))
        return host.lower() in self._names

    async def resolve(self, host: str) -> list[str]:
        """Every address of the host. Raises TargetRefused when one of them is not for tenants, TargetUnknown."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise TargetUnknown(f"The host {host} cannot be found.") from error
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        if host.lower() not in self._names:
            for address in addresses:
                if not is_public(address) and not self._permits(ipaddress.ip_address(address)):
                    raise TargetRefused(f"The host {host} is not on the public internet.")
        return addresses

    def _permits(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def is_public(text: str) -> bool:
    """Whether it is an address of the internet, also where a v4 address stands in a v6 one."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if int(address) >> 32 == 0:  # v4-compatible, long obsolete
            return False
    return address.is_global and not address.is_multicast


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
