"""A network of its own for every instance: namespaces behind one bridge, made before they are needed.

All netlink work happens in one thread, which changes its namespace to configure a new one. Nothing is stored: a
namespace lives while a process or our pool holds it, its link to the bridge goes with it, and the links' names tell
which addresses are taken.
"""

import asyncio
import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any, TypeVar, cast

from cygnid.sandbox.firewall import Net, chains
from cygnid.sandbox.launch import Namespace
from cygnid.sandbox.namespaces import current_network, new_network, set_network
from cygnid.sandbox.resolvers import resolvers

_PREFIX_LENGTH = 20

T = TypeVar("T")


class Network:
    """`name` is the installation's. `subnet` is its applications' own; None: a free one of 10.0.0.0/8, kept while the
    bridge lives. `confined` are the uids of tenants, whose processes in the machine's network are filtered: `allowed`
    opens networks to them in spite of that, for package indexes on an intranet."""

    def __init__(
        self,
        *,
        name: str,
        subnet: IPv4Network | None = None,
        confined: range | None = None,
        allowed: Sequence[Net] = (),
        spare: int = 2,
    ) -> None:
        self._tag = f"cy{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        self._bridge = f"{self._tag}br"
        self._wanted = subnet
        self._confined = confined
        self._allowed = tuple(allowed)
        self._spare = spare
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._ready: deque[Namespace] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._ip: Any = None
        self._closed = False
        self._last_slot = int.from_bytes(os.urandom(2))

    async def prepare(self) -> None:
        """Make the bridge and the rules, or find them. Raises OSError where this machine has no such thing."""
        await self._call(self._prepare)
        self._fill()

    async def take(self) -> Namespace:
        if not self._ready:
            self._ready.append(await self._call(self._make))
        namespace = self._ready.popleft()
        self._fill()
        return namespace

    async def close(self) -> None:
        """Let the spare ones go; bridge, rules and what runs stay. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            with suppress(asyncio.CancelledError):
                await self._filling
        while self._ready:
            os.close(self._ready.popleft().fd)
        await self._call(self._release)
        await asyncio.to_thread(self._thread.shutdown)

    async def remove(self) -> None:
        """Remove bridge and rules; nothing of the installation may run any more. Works after `close`."""
        await asyncio.to_thread(self._remove)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _fill(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill_up(), name="spare networks")

    async def _fill_up(self) -> None:
        while len(self._ready) < self._spare:
            making = asyncio.ensure_future(self._call(self._make))
            try:
                self._ready.append(await asyncio.shield(making))
            except asyncio.CancelledError:
                os.close((await making).fd)
                raise

    def _prepare(self) -> None:
        try:
            from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415  slow to import, and not where it is not needed

            from cygnid.sandbox.netfilter import replace_table  # noqa: PLC0415
        except ImportError as error:
            raise OSError(f"pyroute2 is missing: {error}") from error
        try:
            self._ip = IPRoute()
            self._home = current_network()
            index = next(iter(self._ip.link_lookup(ifname=self._bridge)), None)
            if index is None:
                self._subnet = self._wanted or self._free_subnet(self._ip)
                self._ip.link("add", ifname=self._bridge, kind="bridge")
                index = self._ip.link_lookup(ifname=self._bridge)[0]
                gateway = next(self._subnet.hosts())
                self._ip.addr("add", index=index, address=str(gateway), prefixlen=self._subnet.prefixlen)
            else:
                found = next(iter(self._ip.get_addr(index=index, family=2)))
                address = f"{found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}"
                self._subnet = IPv4Network(address, strict=False)
            self._index = index
            _write_sysctl(f"net/ipv6/conf/{self._bridge}/disable_ipv6", "1")
            self._ip.link("set", index=index, state="up")
            _write_sysctl("net/ipv4/ip_forward", "1")
            table = chains(
                bridge=self._bridge,
                subnet=self._subnet,
                resolvers=[ip_address(text.partition("%")[0]) for text in resolvers(own_network=False)],
                confined=self._confined,
                allowed=self._allowed,
            )
            replace_table(self._tag, table)
            os.close(self._make().fd)
        except NetlinkError as error:
            raise OSError(error.code, str(error)) from error

    def _free_subnet(self, ip: Any) -> IPv4Network:
        """One that overlaps no address and no route of the machine."""
        taken = [
            IPv4Network((route.get_attr("RTA_DST"), route["dst_len"]), strict=False)
            for route in ip.get_routes(family=2)
            if route.get_attr("RTA_DST") is not None and route["dst_len"]
        ]
        start = int.from_bytes(self._tag.encode()[2:5])
        choices = 1 << (_PREFIX_LENGTH - 8)
        for number in range(choices):
            base = (10 << 24) | ((start + number) % choices) << (32 - _PREFIX_LENGTH)
            subnet = IPv4Network((base, _PREFIX_LENGTH))
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
        raise OSError("no subnet of 10.0.0.0/8 is free: set one")

    def _make(self) -> Namespace:
        """A namespace with an address, a way out, and a loopback device of its own."""
        from pyroute2 import IPRoute  # noqa: PLC0415

        fd = new_network()
        try:
            try:
                with cast("Any", IPRoute()) as inside:
                    link, address = self._connect(fd)
                    self._ip.brport("set", index=link, isolated=1)
                    inside.link("set", index=1, state="up")
                    index = inside.link_lookup(ifname="eth0")[0]
                    inside.addr("add", index=index, address=address, prefixlen=self._subnet.prefixlen)
                    inside.link("set", index=index, state="up")
                    inside.route("add", dst="default", gateway=str(next(self._subnet.hosts())))
            except BaseException:
                os.close(fd)
                raise
        finally:
            set_network(self._home)
        return Namespace(fd=fd, host=address)

    def _connect(self, namespace: int) -> tuple[int, str]:
        """A link from the bridge to the namespace: (its index out here, the address for in there). Addresses are given
        out in turn: one is not another tenant's as soon as it is free, while connections to the old one may be open."""
        from pyroute2 import NetlinkError  # noqa: PLC0415

        size = self._subnet.num_addresses - 3  # without network, gateway, broadcast
        for _ in range(size):
            self._last_slot = (self._last_slot + 1) % size
            name = f"{self._tag}.{self._last_slot}"
            peer = {"ifname": "eth0", "net_ns_fd": namespace}
            try:
                self._ip.link("add", ifname=name, kind="veth", peer=peer, master=self._index, state="up")
            except NetlinkError as error:
                if error.code != 17:  # EEXIST: somebody has that address
                    raise
                continue
            return self._ip.link_lookup(ifname=name)[0], str(self._subnet.network_address + 2 + self._last_slot)
        raise OSError(f"all {size} addresses of {self._subnet} are in use")

    def _release(self) -> None:
        if self._ip is not None:
            self._ip.close()
            os.close(self._home)
            self._ip = None

    def _remove(self) -> None:
        from pyroute2 import IPRoute  # noqa: PLC0415

        from cygnid.sandbox.netfilter import remove_table  # noqa: PLC0415

        remove_table(self._tag)
        with cast("Any", IPRoute()) as ip:
            for index in ip.link_lookup(ifname=self._bridge):
                ip.link("del", index=index)


def _write_sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys", name)
    if path.read_text(encoding="ascii").strip() != value:
        path.write_text(value, encoding="ascii")
