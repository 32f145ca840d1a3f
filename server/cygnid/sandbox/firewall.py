"""What tenants may reach, as rules of nftables: pure. `netfilter` sends them.

Two ways in: instances, in networks of their own behind one bridge; and what runs in the machine's own network
(builds), told apart by uid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

Net = IPv4Network | IPv6Network

LINK_LOCAL: tuple[Net, ...] = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))
"""Also where clouds keep their metadata and credentials (169.254.169.254)."""
PRIVATE: tuple[Net, ...] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_DNS = 53


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Every match that is given must hold."""

    verdict: Literal["accept", "drop", "reject", "masquerade"]
    iifname: str | None = None
    oifname: str | None = None
    not_oifname: str | None = None
    saddr: Net | None = None
    daddr: Net | None = None
    protocol: Literal["tcp", "udp"] | None = None
    dport: int | None = None
    """Only together with `protocol`."""
    established: bool = False
    """Belongs to a connection that was let through, or is an error about one."""
    uids: range | None = None


@dataclass(frozen=True, kw_only=True)
class Chain:
    kind: Literal["filter", "nat"]
    hook: Literal["input", "forward", "output", "postrouting"]
    priority: int
    rules: tuple[Rule, ...]


def chains(
    *,
    bridge: str,
    subnet: IPv4Network,
    resolvers: Sequence[IPv4Address | IPv6Address],
    confined: range | None,
    allowed: Sequence[Net],
) -> Mapping[str, Chain]:
    """Chains by name. Instances reach all but link-local addresses, each other and the machine; nothing but the machine
    reaches them. The `confined` uids, in the machine's network, reach no instance, no address of the machine but for
    DNS, and no link-local or private one that is not `allowed`.

    Priority -5 comes before other tables' usual 0, so that what they accept is not the last word."""
    return {
        "input": Chain(
            kind="filter",
            hook="input",
            priority=-5,
            rules=(
                Rule(iifname=bridge, established=True, verdict="accept"),
                Rule(iifname=bridge, verdict="reject"),
            ),
        ),
        "forward": Chain(
            kind="filter",
            hook="forward",
            priority=-5,
            rules=(
                *(Rule(iifname=bridge, daddr=net, verdict="reject") for net in LINK_LOCAL),
                Rule(iifname=bridge, daddr=subnet, verdict="reject"),
                Rule(oifname=bridge, established=True, verdict="accept"),
                Rule(oifname=bridge, verdict="drop"),
            ),
        ),
        "output": Chain(
            kind="filter",
            hook="output",
            priority=-5,
            rules=() if confined is None else _confine(confined, subnet=subnet, resolvers=resolvers, allowed=allowed),
        ),
        "postrouting": Chain(
            kind="nat",
            hook="postrouting",
            priority=100,
            rules=(Rule(saddr=subnet, not_oifname=bridge, verdict="masquerade"),),
        ),
    }


def _confine(
    uids: range,
    *,
    subnet: IPv4Network,
    resolvers: Sequence[IPv4Address | IPv6Address],
    allowed: Sequence[Net],
) -> tuple[Rule, ...]:
    dns = [
        Rule(uids=uids, daddr=ip_network(address), protocol=protocol, dport=_DNS, verdict="accept")
        for address in resolvers
        for protocol in ("udp", "tcp")
    ]
    return (
        *dns,
        # before what is allowed: an intranet's whole 10.0.0.0/8 may have the instances in it
        Rule(uids=uids, daddr=subnet, verdict="reject"),
        *(Rule(uids=uids, daddr=net, verdict="accept") for net in allowed),
        # the machine's own addresses, on whichever interface, are reached by way of lo
        Rule(uids=uids, oifname="lo", verdict="reject"),
        *(Rule(uids=uids, daddr=net, verdict="reject") for net in (*LINK_LOCAL, *PRIVATE)),
    )
