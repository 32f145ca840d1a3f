"""What the benchmarks share: an installation of their own, a client of their own, medians with an interval."""

import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LOOK_SECONDS = 0.005
"""Between two looks through a front door; each is a connection of its own."""
PATIENCE_SECONDS = 120
_IDLE_SECONDS = 2
"""After which the API may have closed a connection."""
_BAD_ENDS = ("failed", "canceled", "superseded")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_listening(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def interval(values: Sequence[float]) -> str:
    """Median and the range without the eighth at either end."""
    ordered = sorted(values)
    cut = len(ordered) // 8
    return f"{statistics.median(ordered):.3f} ({ordered[cut]:.3f} to {ordered[-1 - cut]:.3f}, n = {len(ordered)})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Round by round, so that what else the machine did falls on both sides."""
    return interval([our / their for our, their in zip(ours, theirs, strict=True)])


@contextmanager
def folder() -> Generator[Path]:
    """A temporary one that other users can pass through, since what is measured runs as such."""
    made = Path(tempfile.mkdtemp(prefix="cygni-bench-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def as_installed(base: Path) -> dict[str, str]:
    """The environment for programs in Python whose modules are compiled already, as an installed package's are. The
    first run compiles them, whatever the shell says of bytecode."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(base / "bytecode")}


class Installation:
    """A running platform on free ports, without rate limits. `pids` and `team_id` are as `up --json` says."""

    def __init__(self, data: Path, said: Mapping[str, Any]) -> None:
        self.data = data
        self.pids: dict[str, int] = said["pids"]
        self.team_id: str = said["teamId"]
        self.token: str = said["token"]
        api = urlsplit(said["apiUrl"])
        self.api_port, self.apps_port = api.port or 80, urlsplit(said["appsUrl"].replace("{host}", "host")).port or 80
        self._connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=PATIENCE_SECONDS)
        self._used = 0.0

    def call(self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None, **headers: str) -> Any:
        """The answer's `data`. Raises SystemExit for anything but success: a benchmark of errors says nothing."""
        sent: dict[str, str] = {"Authorization": f"Bearer {self.token}", **headers}
        if isinstance(body, Mapping):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self._connection.close()
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used = time.monotonic()
        self._connection.request(method, f"/v1{path}", body, sent)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)["data"] if text else None

    def project(self, name: str) -> str:
        return self.call("POST", "/projects", {"name": name})["id"]

    def host(self, project: str, environment: str = "production") -> str:
        return f"{project if environment == 'production' else f'{project}--{environment}'}.localhost:{self.apps_port}"

    def deploy(self, project: str, archive: bytes, environment: str = "production") -> dict[str, Any]:
        """Three requests: declare, send, deploy. The deployment as it is then, not at its end."""
        declared = {
            "sizeBytes": len(archive),
            "sha256": hashlib.sha256(archive).hexdigest(),
            "contentType": "application/gzip",
        }
        upload = self.call("POST", "/uploads", declared)["id"]
        self.call("PUT", f"/uploads/{upload}/content", archive, **{"Content-Type": "application/gzip"})
        wanted = {"projectId": project, "uploadId": upload, "environment": environment}
        return self.call("POST", "/deployments", wanted)

    def ended(self, deployment: Mapping[str, Any]) -> dict[str, Any]:
        """The same deployment when it has succeeded. Raises SystemExit when it does otherwise."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := self.going(deployment))["status"] != "success":
            if time.monotonic() > deadline:
                raise SystemExit(f"the deployment is {now['status']} for {PATIENCE_SECONDS} s")
            time.sleep(0.05)
        return now

    def going(self, deployment: Mapping[str, Any]) -> dict[str, Any]:
        """The same deployment as it is now. Raises SystemExit when it can no longer succeed."""
        now = self.call("GET", f"/deployments/{deployment['id']}")
        if now["status"] in _BAD_ENDS:
            raise SystemExit(f"the deployment is {now['status']}: {json.dumps(now['failure'], indent=2)}")
        return now


@contextmanager
def installation(**settings: str) -> Generator[Installation]:
    """Started for this benchmark, and gone with everything it started when the block ends."""
    with folder() as base:
        data = base / "data"
        api, apps = free_port(), free_port()
        command = [sys.executable, "-m", "cygnid"]
        environment = {**as_installed(base), "CYGNI_DEFAULT_PLAN": "enterprise", "CYGNI_APPS_HOST": "127.0.0.1"}
        environment |= settings
        up = ["up", "--detach", "--json", "--data-dir", str(data), "--port", str(api), "--apps-port", str(apps)]
        done = subprocess.run([*command, *up], check=False, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            if done.returncode:
                raise SystemExit((data / "logs" / "cygnid.log").read_text()[-4000:])
            yield Installation(data, json.loads(done.stdout.splitlines()[-1]))
        finally:
            subprocess.run([*command, "down", "--apps", "--data-dir", str(data)], env=environment, check=True)


def archive(files: Mapping[str, str]) -> bytes:
    """The files as .tar.gz."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content := text.encode())
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def write(files: Mapping[str, str], into: Path) -> Path:
    for name, text in files.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return into


def seen(
    port: int,
    host: str,
    text: str,
    began: float,
    *,
    every: float = LOOK_SECONDS,
    hope: Callable[[], object] = lambda: None,
) -> float:
    """Seconds from `began` (perf_counter) until `text` comes through the front door on `port`. `hope` is called once a
    second and raises when there is none left."""
    asked = began
    wanted = text.encode()
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    while time.perf_counter() - began < PATIENCE_SECONDS:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(request)
                answer = b""
                while part := connection.recv(65536):
                    answer += part
        except OSError:
            answer = b""
        if answer.startswith(b"HTTP/1.1 200") and wanted in answer:
            return time.perf_counter() - began
        if time.perf_counter() - asked > 1:
            hope()
            asked = time.perf_counter()
        time.sleep(every)
    raise SystemExit(f"{host} did not answer with {text!r} within {PATIENCE_SECONDS} s")


@dataclass(frozen=True)
class App:
    """A hello of one kind; each text is another version of it."""

    kind: str
    files: Callable[[str], dict[str, str]]


def _flask(text: str) -> dict[str, str]:
    app = f'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/")\ndef hello():\n    return "{text}"\n'
    return {"app.py": app, "requirements.txt": "flask==3.1.*\ngunicorn==23.*\n"}


def _node(text: str) -> dict[str, str]:
    server = (
        'const server = require("node:http").createServer((request, response) => {\n'
        f'  response.end("{text}");\n'
        "});\n"
        "server.keepAliveTimeout = 10_000;\n"
        'server.listen(process.env.PORT, "0.0.0.0");\n'
        'process.on("SIGTERM", () => server.close());\n'
    )
    return {"server.js": server, "package.json": '{"name": "hello", "scripts": {"start": "node server.js"}}\n'}


def _static(text: str) -> dict[str, str]:
    pages = {f"pages/{number}.html": f"<p>Page {number}</p>\n" * 20 for number in range(199)}
    return {"index.html": f"<!doctype html><p>{text}</p>\n", **pages}


FLASK, NODE, STATIC = App("flask", _flask), App("node", _node), App("static", _static)
