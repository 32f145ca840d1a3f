"""Sending a table of rules to the kernel by netlink, without the program `nft`."""

import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES, nfgen_msg
from pyroute2.netlink.nfnetlink.nftsocket import (
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_NEWTABLE,
    Cmp,
    Meta,
    nft_chain_msg,
    nft_rule_msg,
    nft_table_msg,
)
from pyroute2.nftables.expressions import genex
from pyroute2.nftables.main import NFTables

from cygnid.sandbox.firewall import Chain, Rule

Expression = dict[str, Any]

_INET = 1  # NFPROTO_INET: both versions of IP in one table
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_HOOKS = {"input": 1, "forward": 2, "output": 3, "postrouting": 4}
_PROTOCOLS = {"tcp": 6, "udp": 17}
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_CT_STATE, _ESTABLISHED_OR_RELATED = 0, 0b110
_IFNAMSIZ = 16
_REGISTER = 1
_VERDICT_REGISTER = 0


def replace_table(name: str, chains: Mapping[str, Chain]) -> None:
    """In one transaction: there is no moment without rules. Raises NetlinkError (an OSError in spirit: `code`)."""
    table = (NFT_MSG_NEWTABLE, nft_table_msg, {"name": name})
    commands: list[tuple[int, type, dict[str, Any]]] = [table, (NFT_MSG_DELTABLE, nft_table_msg, {"name": name}), table]
    for chain_name, chain in chains.items():
        hook = {"attrs": [["NFTA_HOOK_HOOKNUM", _HOOKS[chain.hook]], ["NFTA_HOOK_PRIORITY", chain.priority]]}
        attributes = {"table": name, "name": chain_name, "hook": hook, "policy": 1, "type": chain.kind}
        commands.append((NFT_MSG_NEWCHAIN, nft_chain_msg, attributes))
        commands += [
            (NFT_MSG_NEWRULE, nft_rule_msg, {"table": name, "chain": chain_name, "expressions": expressions(rule)})
            for rule in chain.rules
        ]
    _send(commands)


def remove_table(name: str) -> None:
    """Idempotent: made first where it is not there."""
    _send([(kind, nft_table_msg, {"name": name}) for kind in (NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE)])


def _send(commands: Iterable[tuple[int, type, dict[str, Any]]]) -> None:
    messages = [_edge(_BATCH_BEGIN)]
    for kind, message_class, attributes in commands:
        message = message_class()
        message["attrs"] = [[message_class.name2nla(key), value] for key, value in attributes.items()]
        message["header"]["type"] = (NFNL_SUBSYS_NFTABLES << 8) | kind
        flags = 0 if kind == NFT_MSG_DELTABLE else NLM_F_CREATE | NLM_F_APPEND
        message["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | flags
        message["nfgen_family"] = _INET
        messages.append(message)
    messages.append(_edge(_BATCH_END))
    nft = NFTables(nfgen_family=_INET)
    try:

        async def send() -> None:
            async for _ in nft.asyncore.nlm_request_batch(messages):
                pass

        nft.asyncore.event_loop.run_until_complete(send())
    finally:
        nft.close()


def _edge(kind: int) -> Any:
    message: Any = nfgen_msg()
    message["res_id"] = NFNL_SUBSYS_NFTABLES
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST
    return message


def expressions(rule: Rule) -> list[Expression]:
    found: list[Expression] = []
    if rule.uids is not None:
        found += _meta(Meta.NFT_META_SKUID)
        # uids come in the machine's byte order; ranges are compared byte by byte
        found.append(genex("byteorder", {"sreg": _REGISTER, "dreg": _REGISTER, "op": 1, "len": 4, "size": 4}))
        found += _compare(struct.pack(">I", rule.uids.start), Cmp.NFT_CMP_GTE)
        found += _compare(struct.pack(">I", rule.uids.stop - 1), Cmp.NFT_CMP_LTE)
    if rule.iifname is not None:
        found += _meta(Meta.NFT_META_IIFNAME) + _compare(_interface(rule.iifname))
    if rule.oifname is not None:
        found += _meta(Meta.NFT_META_OIFNAME) + _compare(_interface(rule.oifname))
    if rule.not_oifname is not None:
        found += _meta(Meta.NFT_META_OIFNAME) + _compare(_interface(rule.not_oifname), Cmp.NFT_CMP_NEQ)
    if rule.saddr is not None:
        found += _address(rule.saddr, source=True)
    if rule.daddr is not None:
        found += _address(rule.daddr, source=False)
    if rule.protocol is not None and rule.dport is not None:
        found += _meta(Meta.NFT_META_L4PROTO) + _compare(bytes([_PROTOCOLS[rule.protocol]]))
        found += _payload(_TRANSPORT_HEADER, 2, 2) + _compare(struct.pack(">H", rule.dport))
    if rule.established:
        found.append(genex("ct", {"dreg": _REGISTER, "key": _CT_STATE}))
        found += _mask(struct.pack("=I", _ESTABLISHED_OR_RELATED)) + _compare(bytes(4), Cmp.NFT_CMP_NEQ)
    return [*found, *_verdict(rule)]


def _verdict(rule: Rule) -> list[Expression]:
    if rule.verdict == "masquerade":
        return [genex("masq", {})]
    if rule.verdict == "reject":
        return [genex("reject", {"type": 2, "icmp_code": 1})]  # port unreachable: refused at once, for both IPs
    code = {"accept": 1, "drop": 0}[rule.verdict]
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return [genex("immediate", {"dreg": _VERDICT_REGISTER, "data": data})]


def _address(net: IPv4Network | IPv6Network, *, source: bool) -> list[Expression]:
    family, length = (2, 4) if isinstance(net, IPv4Network) else (10, 16)
    offset = {4: 12, 16: 8}[length] + (0 if source else length)
    return [
        *_meta(Meta.NFT_META_NFPROTO),
        *_compare(bytes([family])),
        *_payload(_NETWORK_HEADER, offset, length),
        *_mask(net.netmask.packed),
        *_compare(net.network_address.packed),
    ]


def _meta(key: int) -> list[Expression]:
    return [genex("meta", {"key": key, "dreg": _REGISTER})]


def _payload(base: int, offset: int, length: int) -> list[Expression]:
    return [genex("payload", {"dreg": _REGISTER, "base": base, "offset": offset, "len": length})]


def _mask(mask: bytes) -> list[Expression]:
    data = {"mask": {"attrs": [("NFTA_DATA_VALUE", mask)]}, "xor": {"attrs": [("NFTA_DATA_VALUE", bytes(len(mask)))]}}
    return [genex("bitwise", {"sreg": _REGISTER, "dreg": _REGISTER, "len": len(mask), **data})]


def _compare(value: bytes, op: int = Cmp.NFT_CMP_EQ) -> list[Expression]:
    return [genex("cmp", {"sreg": _REGISTER, "op": op, "data": {"attrs": [("NFTA_DATA_VALUE", value)]}})]


def _interface(name: str) -> bytes:
    return name.encode().ljust(_IFNAMSIZ, b"\0")
