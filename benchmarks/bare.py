"""The baseline of deploys.py: bare_script.sh behind a front door of its own, nginx where the machine has it.

Without nginx, Caddy stands in, told by its admin API. It takes a change in a few milliseconds and closes no connection,
where nginx needs about 100 for a reload: the stand-in makes the script faster, and the comparison harder for us.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cygnid.build import toolchains
from cygnid.edge.binaries import caddy_binary
from harness import App, free_port, seen, until_listening, write

SCRIPT = Path(__file__).with_name("bare_script.sh")
_NGINX = """worker_processes auto; pid {base}/nginx.pid; error_log {base}/nginx.log; {user}
events {{ }}
http {{
    access_log off; include {base}/conf/*.conf;
    client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3; uwsgi_temp_path {base}/t4;
    scgi_temp_path {base}/t5;
{servers}}}
"""
_APP = "    server {{ listen 127.0.0.1:{port}; server_name {kind}; location / {{ proxy_pass http://{kind}; }} }}\n"
_FILES = "    server {{ listen 127.0.0.1:{port}; server_name {kind}; root {base}/{kind}/current; }}\n"
_KINDS = ("flask", "node", "static")


class Bare:
    """Sites of each kind, deployed by the script."""

    def __init__(self, base: Path, front: str, port: int) -> None:
        self.front, self.port = front, port
        self._base = base
        uv = Path(sys.executable).with_name("uv")
        node = shutil.which("node") or toolchains.find("node")[0].bin / "node"
        self._environment = {**os.environ, "UV": str(uv), "PYTHON": sys.executable, "NODE": str(node)}

    def source(self, app: App, text: str) -> Path:
        """The code, as somebody has it before they deploy."""
        source = self._base / "sources" / app.kind
        shutil.rmtree(source, ignore_errors=True)
        return write(app.files(text), source)

    def deploy(self, app: App, source: Path) -> subprocess.Popen[bytes]:
        """The running script; its process is the caller's to wait for."""
        return self._run(app, "deploy", app.kind, str(self._site(app)), str(source))

    def rollback(self, app: App) -> subprocess.Popen[bytes]:
        return self._run(app, "rollback", app.kind, str(self._site(app)))

    def forget_dependencies(self, app: App) -> None:
        """The next deploy installs anew; what was downloaded stays in uv's cache."""
        shutil.rmtree(self._site(app) / "venvs")
        (self._site(app) / "venvs").mkdir()

    def boot(self, app: App) -> float:
        """Seconds from the start of the live release's own command until it answers well, with nothing around it."""
        site, port = self._site(app), free_port()
        release = site / "current"
        flask = [str(release / ".venv/bin/gunicorn"), "--bind", f"127.0.0.1:{port}", "app:app"]
        command = {"flask": flask, "node": [self._environment["NODE"], "server.js"]}[app.kind]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=release, env={**self._environment, "PORT": str(port)}, stderr=subprocess.DEVNULL
        )
        try:
            return seen(port, "localhost", "", began, every=0.001)
        finally:
            process.terminate()
            process.wait()

    def stop(self) -> None:
        for app in self._base.glob("*/pid"):
            os.kill(int(app.read_text()), signal.SIGTERM)

    def _site(self, app: App) -> Path:
        site = self._base / app.kind
        if not site.exists():
            (site / "releases").mkdir(parents=True)
            (site / "venvs").mkdir()
            (site / "port").write_text(str(20_000 + 3_000 * _KINDS.index(app.kind)))
        return site

    def _run(self, app: App, *arguments: str) -> subprocess.Popen[bytes]:
        tell = {"FRONT": str(self._base / f"tell-{app.kind}")}
        return subprocess.Popen(["sh", str(SCRIPT), *arguments], env={**self._environment, **tell})


@contextmanager
def bare(base: Path) -> Generator[Bare]:
    """In `base`, with a front door on a free port, both gone when the block ends."""
    base.mkdir()
    base.chmod(0o755)
    port = free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx:
        front = f"nginx, {subprocess.run([nginx, '-v'], check=True, capture_output=True, text=True).stderr.strip()}"
        process = _nginx(base, nginx, port)
    else:
        front, process = "Caddy standing in for nginx", _caddy(base, port)
    sites = Bare(base, front, port)
    try:
        until_listening(port)
        yield sites
    finally:
        sites.stop()
        process.terminate()
        process.wait()


def _nginx(base: Path, nginx: str, port: int) -> subprocess.Popen[bytes]:
    (base / "conf").mkdir()
    servers = "".join((_FILES if kind == "static" else _APP).format(port=port, kind=kind, base=base) for kind in _KINDS)
    user = "user nobody nogroup;" if os.getuid() == 0 else ""
    (base / "nginx.conf").write_text(_NGINX.format(base=base, servers=servers, user=user))
    command = f"{nginx} -c {base}/nginx.conf -e {base}/nginx.log"
    for kind in ("flask", "node"):
        conf = base / "conf" / f"{kind}.conf"
        conf.write_text(f"upstream {kind} {{ server 127.0.0.1:1; }}\n")
        tell = f"printf 'upstream {kind} {{ server 127.0.0.1:%s; }}\\n' $1 >{conf}.new\nmv {conf}.new {conf}\n"
        _script(base / f"tell-{kind}", f"{tell}exec {command} -s reload\n")
    return subprocess.Popen([*command.split(), "-g", "daemon off;"])


def _caddy(base: Path, port: int) -> subprocess.Popen[bytes]:
    admin = free_port()
    upstreams = {kind: {"@id": kind, "dial": "127.0.0.1:1"} for kind in ("flask", "node")}
    routes = [_route(kind, {"handler": "reverse_proxy", "upstreams": [up]}) for kind, up in upstreams.items()]
    routes.append(_route("static", {"handler": "file_server", "root": str(base / "static" / "current")}))
    server = {"listen": [f"127.0.0.1:{port}"], "automatic_https": {"disable": True}, "routes": routes}
    config = {"admin": {"listen": f"127.0.0.1:{admin}"}, "apps": {"http": {"servers": {"front": server}}}}
    (base / "caddy.json").write_text(json.dumps(config))
    for kind in upstreams:
        send = f"curl -sf -X PATCH -H 'content-type: application/json' http://127.0.0.1:{admin}/id/{kind}"
        _script(base / f"tell-{kind}", f"""exec {send} -d '{{"@id":"{kind}","dial":"127.0.0.1:'$1'"}}'\n""")
    environment = {**os.environ, "HOME": str(base), "XDG_CONFIG_HOME": str(base), "XDG_DATA_HOME": str(base)}
    log = (base / "caddy.log").open("w")
    return subprocess.Popen([caddy_binary(), "run", "--config", base / "caddy.json"], env=environment, stderr=log)


def _route(host: str, handler: Mapping[str, object]) -> dict[str, object]:
    return {"match": [{"host": [host]}], "handle": [handler]}


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\nset -eu\n{text}")
    path.chmod(0o755)
