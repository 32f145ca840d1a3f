"""A machine and the world around it, each a network namespace that the test made: nothing outside is touched or asked.

Run as a program by `test_network`: it becomes the machine, starts the world as a child, has a build, two instances and
the platform itself try what they can reach, and prints what came of it as JSON.
"""

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from pyroute2 import IPRoute

from cygnid.sandbox.launch import Sandbox
from cygnid.sandbox.spec import SandboxSpec
from tests.sandbox.harness import LIMIT, some_uid, staged, until

Try = tuple[str, str, int]
"""tcp or udp, address, port."""

MACHINE, WORLD = "198.51.100.2", "198.51.100.1"
MACHINE_6, WORLD_6 = "2001:db8::2", "2001:db8::1"
PUBLIC, PUBLIC_6 = "203.0.113.10", "2001:db8:1::10"
PRIVATE, PRIVATE_6, MIRROR, MIRROR_6 = "172.20.0.7", "fd00::7", "10.50.0.5", "fd00:1::5"
RESOLVER, STUB = "192.168.9.9", "127.0.0.53"
SUBNET, GATEWAY = ip_network("10.77.0.0/20"), "10.77.0.1"
ALLOWED = (ip_network("10.0.0.0/8"), ip_network("fd00:1::/64"))
"""To builds. The instances' subnet is in it."""
METADATA, LINK_LOCAL = "169.254.169.254", "169.254.1.1"
FAR = (PUBLIC, PUBLIC_6, PRIVATE, PRIVATE_6, MIRROR, MIRROR_6, RESOLVER, METADATA, LINK_LOCAL)
API, WEB, DNS, APP = 7000, 80, 53, 8080

# Says for each try: the address that the server saw, or the name of the error.
CLIENT = """
import errno, json, socket, sys
said = []
for kind, host, port in json.loads(sys.argv[1]):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        try:
            client.connect((host, port))
            client.send(b"?")
            said.append(client.recv(100).decode())
        except TimeoutError:
            said.append("TIMEOUT")
        except OSError as error:
            said.append(errno.errorcode[error.errno])
print(json.dumps(said))
"""
SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 8080))
print("up", flush=True)
while True:
    client, peer = listener.accept()
    client.sendall(peer[0].encode())
    client.close()
"""


def listen(addresses: Sequence[str], ports: Sequence[int]) -> None:
    """Answer everyone with the address that they come from."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in ports:
            listener = socket.create_server((address, port), family=family)
            threading.Thread(target=_answer, args=(listener,), daemon=True).start()
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((address, port))
            threading.Thread(target=_echo, args=(datagrams,), daemon=True).start()


def _answer(listener: socket.socket) -> None:
    while True:
        client, peer = listener.accept()
        with client:
            client.sendall(peer[0].encode())


def _echo(datagrams: socket.socket) -> None:
    while True:
        _, peer = datagrams.recvfrom(100)
        datagrams.sendto(peer[0].encode(), peer)


def attempt(tries: Sequence[Try]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(tries)], stdout=subprocess.PIPE, check=True, timeout=LIMIT
    )
    return json.loads(done.stdout)


def world() -> None:
    """Everything that is not the machine. Each line read is a subnet to route to the machine and what to try there."""
    with IPRoute() as ip:
        print("made", flush=True)
        sys.stdin.readline()
        _up(ip, "lo", FAR)
        _up(ip, "world", (WORLD, WORLD_6), prefixes=(24, 64))
        listen(FAR, (WEB, DNS))
        print("up", flush=True)
        for line in sys.stdin:
            subnet, tries = json.loads(line)
            ip.route("add", dst=subnet, gateway=MACHINE)
            print(json.dumps(attempt(tries)), flush=True)


def _up(ip: Any, name: str, addresses: Sequence[str], prefixes: tuple[int, int] = (32, 128)) -> None:
    index = ip.link_lookup(ifname=name)[0]
    ip.link("set", index=index, state="up")
    for address in addresses:
        # nodad: usable at once
        more: dict[str, object] = {"family": socket.AF_INET6, "flags": 2} if ":" in address else {}
        ip.addr("add", index=index, address=address, prefixlen=prefixes[":" in address], **more)


def machine() -> None:
    outside = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", "tests.sandbox.enclosed", "world"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outside.stdin
    assert outside.stdout
    try:
        assert outside.stdout.readline() == "made\n"
        with IPRoute() as ip:
            ip.link("add", ifname="up0", kind="veth", peer={"ifname": "world", "net_ns_pid": outside.pid})
            _up(ip, "lo", ())
            _up(ip, "up0", (MACHINE, MACHINE_6), prefixes=(24, 64))
            ip.route("add", dst="default", gateway=WORLD)
            ip.route("add", family=socket.AF_INET6, dst="default", gateway=WORLD_6)
        outside.stdin.write("go\n")
        outside.stdin.flush()
        assert outside.stdout.readline() == "up\n"
        listen(("0.0.0.0", "::1", MACHINE_6), (API,))
        listen((STUB,), (DNS,))
        print(json.dumps(asyncio.run(_trial(outside))))
    finally:
        outside.terminate()
        outside.wait()


async def _trial(outside: subprocess.Popen[str]) -> Mapping[str, object]:
    confined = some_uid()
    assert confined is not None
    async with staged(confined=range(confined, confined + 1), subnet=SUBNET, allowed=ALLOWED) as stage:
        sandbox = await stage.open()
        assert sandbox.ability().own_network, sandbox.ability().notes
        spec = stage.spec(f"exec python3 -c '{SERVER}'", network="own")
        neighbour = await sandbox.launch(spec)
        assert neighbour.host
        there: Try = ("tcp", neighbour.host, APP)
        await until(lambda: spec.stdout.read_text() == "up\n")
        far: list[Try] = [("tcp", address, WEB) for address in FAR]
        dns: list[Try] = [(kind, address, DNS) for kind in ("tcp", "udp") for address in (RESOLVER, STUB)]
        own: list[Try] = [("tcp", to, API) for to in ("127.0.0.1", STUB, MACHINE, GATEWAY, "::1", MACHINE_6)]
        own += [("udp", MACHINE, API)]
        tries = [*far, *dns, *own, there]
        build = stage.spec(_client(tries), uid=confined, network="host")
        found: dict[str, object] = {
            "platform": _by_try(tries, attempt(tries)),
            "build": _by_try(tries, await _inside(sandbox, build)),
            "instance": _by_try(tries, await _inside(sandbox, stage.spec(_client(tries), network="own"))),
        }
        assert outside.stdin
        assert outside.stdout
        outside.stdin.write(json.dumps([str(SUBNET), [there]]) + "\n")
        outside.stdin.flush()
        found["world"] = _by_try([there], json.loads(outside.stdout.readline()))
        await neighbour.kill()
        return {**found, "neighbour": neighbour.host}


async def _inside(sandbox: Sandbox, spec: SandboxSpec) -> list[str]:
    finished = await sandbox.run(spec)
    said = spec.stdout.read_text()
    assert finished.ended.code == 0, said
    return json.loads(said)


def _client(tries: Sequence[Try]) -> str:
    return f"python3 -c '{CLIENT}' '{json.dumps(tries)}'"


def _by_try(tries: Sequence[Try], said: Sequence[str]) -> Mapping[str, str]:
    return {" ".join(map(str, each)): what for each, what in zip(tries, said, strict=True)}


def _resolve_by(servers: Sequence[str]) -> None:
    """This machine's /etc/resolv.conf, in a mount namespace of this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(f"nameserver {server}\n" for server in servers))
        file.flush()
        target = os.path.realpath("/etc/resolv.conf").encode()
        if libc.mount(file.name.encode(), target, None, 0x1000, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")


if __name__ == "__main__":
    if sys.argv[1:] == ["world"]:
        world()
    else:
        _resolve_by((STUB, RESOLVER))
        machine()
