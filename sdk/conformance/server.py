"""A scripted HTTP server: the first request gets the first reply, and so on; what came is kept."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Reply = dict[str, Any]
TIMESTAMP = "2026-11-24T08:00:00Z"


@dataclass(frozen=True)
class Seen:
    at: Literal["server", "other"]
    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    time: float

    def described(self) -> dict[str, Any]:
        """As expectations name it; `json` only where the body is some."""
        query: dict[str, Any] = {}
        for name, value in parse_qsl(urlsplit(self.path).query, keep_blank_values=True):
            query[name] = [*query.get(name, []), value]
        told: dict[str, Any] = {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "query": {name: values[0] if len(values) == 1 else values for name, values in query.items()},
            "headers": self.headers,
            "body": self.content.decode(errors="replace"),
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }
        if self.headers.get("content-type", "").startswith("application/json"):
            told["json"] = json.loads(self.content)
        return told


@dataclass
class Upload:
    """The one upload of a scenario, as the upload routes keep it."""

    declared: dict[str, Any] = field(default_factory=dict[str, Any])
    content: bytes = b""

    def take(self, seen: Seen) -> dict[str, Any]:
        if seen.method == "POST":
            self.declared = json.loads(seen.content)
        elif seen.method == "PUT":
            start = re.match(r"bytes (\d+)-", seen.headers.get("content-range", "bytes 0-"))
            if start is None or int(start[1]) != len(self.content):
                raise ValueError(f"a part at {seen.headers.get('content-range')}, {len(self.content)} bytes are here")
            self.content += seen.content
        whole = len(self.content) == self.declared["sizeBytes"]
        received = {"receivedBytes": len(self.content), "status": "complete" if whole else "pending"}
        return {"id": "upl_1", "teamId": None, **self.declared, **received}


class ScriptedServer:
    """Plays `script` on two origins: the API's, and another one, where a request is kept and answered by 200."""

    def __init__(self, script: list[Reply]) -> None:
        self.script = script
        self.requests: list[Seen] = []
        self.upload = Upload()
        self.surplus: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._servers: list[ThreadingHTTPServer] = []
        self._threads: list[threading.Thread] = []
        self.origin = self._serve("server")
        self.other = self._serve("other")

    def stop(self) -> None:
        self._over.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def _serve(self, at: Literal["server", "other"]) -> str:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                owner._answer(self, at)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing: what matters is in `requests`."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.block_on_close = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self._servers.append(server)
        self._threads.append(thread)
        return f"http://127.0.0.1:{server.server_port}"

    def _answer(self, handler: BaseHTTPRequestHandler, at: Literal["server", "other"]) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        content = _body(handler)
        seen = Seen(at, handler.command, handler.path, headers, content, time.monotonic())
        with self._lock:
            self.requests.append(seen)
            number = len(self.requests)
            reply = {} if at == "other" else self.script.pop(0) if self.script else None
            if reply is None:
                self.surplus.append(f"{seen.method} {seen.path}")
                reply = {"status": 500, "headers": {"X-Should-Retry": "false"}, "error": {"code": "script_over"}}
        try:
            self._send(handler, reply, seen, number)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply, seen: Seen, number: int) -> None:
        if reply.get("hang"):
            self._hold(handler)
            return
        then = reply.get("then")
        parts, kind = self._content(reply, seen, number)
        if then == "reset" and not parts:
            _reset(handler)
            return
        status = reply.get("status", 200)
        handler.send_response(status)
        for name, value in {"X-Request-Id": f"req_{number}", **kind, **reply.get("headers", {})}.items():
            handler.send_header(name, value)
        is_open = then is not None or "sse" in reply
        if is_open:
            handler.send_header("Connection", "close")
        elif status not in (204, 304):
            handler.send_header("Content-Length", str(sum(map(len, parts))))
        handler.end_headers()
        for part in parts:
            handler.wfile.write(part)
            handler.wfile.flush()
        if then == "hold":
            self._hold(handler)
        elif then == "reset":
            _reset(handler)
        handler.close_connection = handler.close_connection or is_open

    def _content(self, reply: Reply, seen: Seen, number: int) -> tuple[list[bytes], dict[str, str]]:
        meta = {"requestId": f"req_{number}", "timestamp": TIMESTAMP, **reply.get("meta", {})}
        if "sse" in reply:
            return [f"{frame}\n\n".encode() for frame in reply["sse"]], {"Content-Type": "text/event-stream"}
        if "text" in reply:
            return [reply["text"].encode()], {"Content-Type": "text/plain; charset=utf-8"}
        if reply.get("upload"):
            document: Any = {"data": self.upload.take(seen), "meta": meta}
        elif "error" in reply:
            empty = {"code": "", "message": "", "hint": None, "details": {}, "docUrl": "/errors", "errors": []}
            document = {"error": {**empty, **reply["error"]}, "meta": meta}
        elif "data" in reply:
            document = {"data": reply["data"], "meta": meta}
        elif "json" in reply:
            document = reply["json"]
        else:
            return [], {}
        return [json.dumps(document).encode()], {"Content-Type": "application/json"}

    def _hold(self, handler: BaseHTTPRequestHandler) -> None:
        """Silence until the scenario is over."""
        self._over.wait()
        handler.close_connection = True


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    content = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        content += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return content


def _reset(handler: BaseHTTPRequestHandler) -> None:
    # a linger of zero turns the close into a reset
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.close_connection = True
