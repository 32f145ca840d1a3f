"""Repositories and the servers that show them: git's own http-backend behind a small server on loopback, and sshd."""

import base64
import contextlib
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.defpath,
    "HOME": "/nonexistent",
}


@dataclass
class Repository:
    """A bare repository, made without a work tree, so that it can hold what no work tree can."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> "Repository":
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", path], env=AUTHOR, check=True)
        return cls(path)

    def git(self, *argv: str, stdin: bytes | None = None, **env: str) -> str:
        said = subprocess.run(
            ["git", "--git-dir", self.path, *argv], input=stdin, env=AUTHOR | env, check=True, capture_output=True
        )
        return said.stdout.decode().strip()

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def commit(
        self, files: Mapping[str, str | bytes], *, ref: str = "refs/heads/main", message: str = "A change", **modes: str
    ) -> str:
        """The branch then has these files and no others. `modes`: mode and target of what is no file, by name with
        `/` and `.` as `_`."""
        lines: list[str] = []
        for name, content in files.items():
            text = content.encode() if isinstance(content, str) else content
            mode = modes.get(name.replace("/", "_").replace(".", "_"), "100644")
            sha = content if mode == "160000" else self.blob(text)
            lines.append(f"{mode} {sha}\t{name}\0")
        index = self.path / "test-index"
        index.unlink(missing_ok=True)
        self.git(
            "update-index", "-z", "--index-info", stdin="".join(map(str, lines)).encode(), GIT_INDEX_FILE=str(index)
        )
        tree = self.git("write-tree", "--missing-ok", GIT_INDEX_FILE=str(index))
        return self.commit_tree(tree, ref=ref, message=message)

    def commit_tree(self, tree: str, *, ref: str = "refs/heads/main", message: str = "A change") -> str:
        parent = subprocess.run(
            ["git", "--git-dir", self.path, "rev-parse", "--verify", "--quiet", ref],
            env=AUTHOR,
            check=False,
            capture_output=True,
        ).stdout.decode()
        onto = ["-p", parent.strip()] if parent else []
        sha = self.git("commit-tree", tree, "-m", message, *onto)
        self.git("update-ref", ref, sha)
        return sha


@dataclass
class GitServer:
    """Shows the repositories of a folder by smart HTTP on 127.0.0.1."""

    folder: Path
    url: str = ""
    credentials: tuple[str, str] | None = None
    """User and password that it asks for."""
    answer: tuple[int, Mapping[str, str]] | None = None
    """What it answers instead, to everything."""
    hanging: threading.Event = field(default_factory=threading.Event)
    """Set: it takes requests and does not answer."""
    end: threading.Event = field(default_factory=threading.Event)
    endless: bool = False
    """It answers with bytes that do not end."""
    seen: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Paths and headers that were asked for."""

    def remote(self, name: str) -> str:
        return f"{self.url}/{name}"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @contextlib.contextmanager
    def running(self, *, certificate: tuple[Path, Path] | None = None) -> Generator["GitServer"]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_GET  # noqa: N815  its own name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its own name
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                self.end.set()
                server.shutdown()
                thread.join()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.seen.append((request.path, dict(request.headers.items())))
        if self.hanging.is_set():
            self.end.wait()
            request.close_connection = True
            return
        if self.answer is not None:
            status, headers = self.answer
            _answer(request, status, headers, b"")
            return
        if self.endless:
            self._never_end(request)
            return
        if self.credentials is not None and request.headers.get("Authorization") != _basic(*self.credentials):
            _answer(request, 401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        self._backend(request)

    def _backend(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(_chunks(request))
        else:
            body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        said = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=body,
            env=AUTHOR
            | {
                "GIT_PROJECT_ROOT": str(self.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": request.command,
                "CONTENT_TYPE": request.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or "",
                "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol") or "",
            },
            check=False,
            capture_output=True,
        ).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        _answer(request, status, headers, content)

    def _never_end(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        request.send_header("Connection", "close")
        request.end_headers()
        request.close_connection = True
        request.wfile.write(b"001e# service=git-upload-pack\n0000")
        with contextlib.suppress(OSError):
            while not self.end.wait(0.01):
                request.wfile.write(b"003d" + b"0" * 40 + b" refs/heads/branch-0\n")


def _answer(request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    with contextlib.suppress(OSError):
        request.wfile.write(body)


def _chunks(request: BaseHTTPRequestHandler) -> Iterator[bytes]:
    while size := int(request.rfile.readline().strip() or b"0", 16):
        yield request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def sshd() -> str | None:
    """Where this machine has an ssh server."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


@dataclass
class SshServer:
    """An sshd of our own on 127.0.0.1, for whoever runs the tests."""

    folder: Path
    port: int = 0

    @property
    def user(self) -> str:
        return getpass.getuser()

    def url(self, repository: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"

    @contextlib.contextmanager
    def running(self, public_key: str) -> Generator["SshServer"]:
        program = sshd()
        assert program is not None
        self.folder.mkdir(mode=0o700, exist_ok=True)
        key, config, authorized = (self.folder / name for name in ("host", "config", "authorized"))
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        authorized.write_text(f"{public_key}\n")
        if self.port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        config.write_text(
            f"""ListenAddress 127.0.0.1:{self.port}
HostKey {key}
AuthorizedKeysFile {authorized}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*
"""
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (
            subprocess.Popen([program, "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True) as server,
            contextlib.ExitStack() as stack,
        ):
            stack.callback(server.kill)
            assert server.stderr is not None
            said: list[str] = []
            for line in server.stderr:
                said.append(line)
                if "listening on" in line:
                    break
            else:
                raise AssertionError("".join(said))
            drain = threading.Thread(target=server.stderr.read)
            drain.start()
            stack.callback(drain.join)
            stack.callback(server.kill)
            yield self
