"""A fake of the API on a real socket, which knows one project."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = "2026-11-24T08:00:00.000Z"
KEY = "cygp_7Zk3QmVx9LpT2bWcRyUe5HsNfDaGjK25prFq"

TOKEN = {
    "id": "tok_1",
    "teamId": None,
    "kind": "personal",
    "name": "laptop",
    "prefix": "cygp_7Zk3",
    "last4": "prFq",
    "scopes": ["*"],
    "status": "active",
    "lastUsedAt": None,
    "expiresAt": None,
    "previousSecretExpiresAt": None,
}
ME = {
    "user": {"id": "user_1", "name": "Ada"},
    "token": TOKEN,
    "teams": [{"id": "team_1", "name": "Acme", "slug": "acme", "roleId": "role_1", "roleName": "owner"}],
}
PROJECT = {
    "id": "proj_1",
    "teamId": "team_1",
    "name": "shop",
    "status": "active",
    "url": "http://shop.localhost:8001",
    "gitUrl": "https://cygni.example.com/git/shop.git",
    "latestDeployment": {"id": "dep_1", "status": "success", "createdAt": NOW},
    "purgeAt": None,
    "source": None,
    "build": {
        "rootDir": None,
        "builder": "auto",
        "installCommand": None,
        "buildCommand": None,
        "outputDir": None,
        "releaseCommand": None,
        "watchPaths": [],
    },
}
QUOTA = {"name": "deploymentsPerDay", "used": 12, "limit": 50, "resetsAt": NOW}
ENVIRONMENT = {
    "name": "staging",
    "type": "preview",
    "currentDeploymentId": None,
    "url": "http://shop--staging.localhost:8001",
}
VARIABLE = {
    "id": "env_1",
    "key": "LOG_LEVEL",
    "value": "debug",
    "environments": ["production"],
    "type": "plain",
    "target": "both",
    "version": 2,
    "pending": True,
    "updatedAt": NOW,
}
VERSION = {"version": 1, "changedBy": "user_1", "changedAt": NOW, "valueHash": "ab"}
PROCESS = {
    "type": "web",
    "command": "python app.py",
    "instances": 2,
    "runningInstances": 1,
    "cpu": 0.5,
    "memoryMb": 256,
    "pending": True,
}
INSTANCE = {
    "id": "inst_1",
    "process": "web",
    "status": "running",
    "restarts": 1,
    "startedAt": NOW,
    "lastExit": {"at": NOW, "exitCode": 1, "signal": None, "reason": "crashed"},
}
IMPORT = {"created": 1, "updated": 0, "unchanged": 0, "deleted": 0, "errors": []}
CONNECTION = {
    "id": "git_1",
    "teamId": "team_1",
    "name": "host",
    "provider": "generic",
    "host": "git.example.com",
    "auth": {"type": "sshKey", "username": None},
    "publicKey": "ssh-ed25519 AAAA cygni-git_1",
    "knownHosts": "",
    "createdAt": NOW,
}
ROW = {
    "id": "aud_1",
    "seq": 7,
    "teamId": "team_1",
    "projectId": "proj_1",
    "environment": "production",
    "createdAt": NOW,
    "action": "env.updated",
    "result": "success",
    "actor": {"type": "user", "id": "user_1", "name": "Ada", "tokenId": "tok_1", "ip": "192.0.2.1"},
    "resource": {"type": "envVariable", "id": "env_1", "name": "COLOR"},
    "before": {"version": 1},
    "after": {"version": 2},
    "reason": None,
    "requestId": "req_1",
    "prevHash": "0" * 64,
    "hash": "ab" * 32,
}
CHECKPOINT = {
    "id": "chk_1",
    "teamId": "team_1",
    "seq": 7,
    "hash": "ab" * 32,
    "signedAt": NOW,
    "keyId": "key_1",
    "publicKey": "a2V5",
    "signature": "c2ln",
}
STEPS = ("source", "build", "release", "start", "health", "switch")


def step(name: str, status: str = "success", milliseconds: int | None = 500, message: str | None = None) -> Any:
    return {"name": name, "status": status, "durationMs": milliseconds, "message": message}


def deployment(status: str = "success", **fields: Any) -> dict[str, Any]:
    return {
        "id": "dep_1",
        "projectId": "proj_1",
        "environment": "production",
        "type": "deploy",
        "status": status,
        "source": None,
        "message": None,
        "steps": [step(name) for name in STEPS],
        "failure": None,
        "url": PROJECT["url"],
        "isCurrent": True,
        "blockedById": None,
        "queuePosition": None,
        "estimatedStartAt": None,
        "startedAt": NOW,
        "durationMs": 3300,
        "createdAt": NOW,
        **fields,
    }


def log_line(message: str, identity: str = "log_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "timestamp": "2026-11-24T08:00:23.290Z",
        "source": "build",
        "level": "info",
        "message": message,
        "step": "build",
        "process": None,
        "request": None,
        **fields,
    }


def sse(*lines: dict[str, Any], end: dict[str, Any] | None = None) -> bytes:
    frames = [f"id: {line['id']}\nevent: log\ndata: {json.dumps(line)}\n\n" for line in lines]
    last = {"reason": "finished", "status": "success", "exitCode": None} if end is None else end
    return "".join([*frames, f"event: end\ndata: {json.dumps(last)}\n\n"]).encode()


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Answer:
    data: Any = None
    status: int = 200
    meta: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    stream: bytes | None = None
    hold: bool = False


class FakeApi:
    """`on` sets what a route answers: an Answer, data, or a function of the request. The last one set counts."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        self.streaming = threading.Event()
        self.broken: Answer | None = None
        self._routes: list[tuple[str, re.Pattern[str], Any]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                owner.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def on(self, method: str, path: str, answer: Any) -> None:
        self._routes.insert(0, (method, re.compile(path), answer))

    def sent(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.requests if seen.method == method and re.fullmatch(path, seen.path)]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        query = {name: ",".join(values) for name, values in parse_qs(url.query).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.command, url.path.removeprefix("/v1"), query, headers, content)
        self.requests.append(seen)
        self._send(handler, self.broken or self._find(seen))

    def _find(self, seen: Seen) -> Answer:
        for method, path, answer in self._routes:
            if method == seen.method and path.fullmatch(seen.path):
                given = answer(seen) if callable(answer) else answer
                return given if isinstance(given, Answer) else Answer(given)
        return Answer(status=404, error={"code": "not_found", "message": f"There is no {seen.path}.", "hint": None})

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        handler.send_header("X-Request-Id", "req_1")
        if answer.stream is not None:
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.wfile.write(answer.stream)
            handler.wfile.flush()
            if answer.hold:
                self.streaming.set()
                self.stopping.wait()
            handler.close_connection = True
            return
        body = {"error": answer.error} if answer.error else {"data": answer.data}
        meta = {"requestId": "req_1", "timestamp": NOW, **answer.meta}
        content = b"" if answer.status == 204 else json.dumps({**body, "meta": meta}).encode()
        handler.send_header("Content-Type", "application/json")
        if content:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def stop(self) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def page(items: list[Any]) -> Answer:
    pagination = {"page": 1, "limit": 100, "total": len(items), "pages": 1, "totalIsEstimate": False}
    return Answer(items, meta={"pagination": {**pagination, "hasMore": False, "nextCursor": None, "prevCursor": None}})


def usual_routes(api: FakeApi) -> None:
    secret = {**TOKEN, "secret": KEY}
    upload: dict[str, Any] = {"id": "upl_1"}

    def create_upload(seen: Seen) -> Answer:
        upload.update(status="pending", receivedBytes=0, sizeBytes=seen.json["sizeBytes"])
        return Answer(upload, 201)

    def put_content(seen: Seen) -> Answer:
        upload.update(status="complete", receivedBytes=len(seen.content))
        return Answer(upload)

    for method, path, answer in (
        ("GET", "/health", {"status": "ok"}),
        ("GET", "/me", ME),
        ("GET", "/billing/quotas", page([QUOTA])),
        ("GET", "/projects", page([PROJECT])),
        ("POST", "/projects", lambda seen: Answer({**PROJECT, **seen.json}, 201)),
        ("GET", "/projects/shop", PROJECT),
        ("PATCH", "/projects/shop", lambda seen: {**PROJECT, **seen.json}),
        ("DELETE", "/projects/shop", Answer({**PROJECT, "status": "deleted", "purgeAt": NOW}, 202)),
        ("GET", "/projects/shop/environments", page([ENVIRONMENT])),
        ("GET", "/projects/shop/environments/staging", ENVIRONMENT),
        ("GET", "/projects/shop/processes", page([PROCESS])),
        ("PATCH", "/projects/shop/processes/web", lambda seen: {**PROCESS, **seen.json}),
        ("GET", "/projects/shop/instances", page([INSTANCE])),
        ("POST", "/projects/shop/(restart|rollback)", Answer(deployment("queued"), 201)),
        ("POST", "/uploads", create_upload),
        ("PUT", "/uploads/upl_1/content", put_content),
        ("GET", "/deployments", page([deployment()])),
        ("POST", "/deployments", Answer(deployment("queued"), 201)),
        ("GET", "/deployments/dep_1", deployment()),
        ("POST", "/deployments/dep_1/approve", deployment("queued")),
        ("POST", "/deployments/dep_1/cancel", Answer(deployment("canceled"), 202)),
        ("POST", "/deployments/dep_1/rollback", Answer(deployment("queued"), 201)),
        ("GET", "/deployments/dep_1/logs/stream", Answer(stream=sse(log_line("Installing")))),
        ("GET", "/logs", page([log_line("newer", "log_2"), log_line("older", "log_1")])),
        ("GET", "/logs/stream", Answer(stream=sse(log_line("one"), log_line("two", "log_2")))),
        ("GET", "/env", page([VARIABLE])),
        ("PUT", "/env/bulk", IMPORT),
        ("POST", "/env/import", IMPORT),
        ("POST", "/env/export", {"format": "dotenv", "content": "LOG_LEVEL=debug\n"}),
        ("PATCH", "/env/env_1", VARIABLE),
        ("DELETE", "/env/env_1", Answer(status=204)),
        ("POST", "/env/env_1/reveal", {"id": "env_1", "key": "API_KEY", "value": "hidden-one", "version": 2}),
        ("POST", "/env/env_1/rollback", {**VARIABLE, "version": 3}),
        (
            "GET",
            "/env/env_1/versions",
            page([{"version": 1, "changedBy": "user_1", "changedAt": NOW, "valueHash": "ab"}]),
        ),
        ("GET", "/git/connections", page([CONNECTION])),
        ("POST", "/git/connections", Answer(CONNECTION, 201)),
        ("DELETE", "/git/connections/git_1", Answer(status=204)),
        ("GET", "/audit-logs", page([ROW])),
        ("GET", "/audit-logs/aud_1", ROW),
        ("GET", "/audit-logs/export", Answer(stream=json.dumps(ROW).encode() + b"\n")),
        ("GET", "/audit-logs/checkpoints", page([CHECKPOINT])),
        (
            "GET",
            "/audit-logs/verify",
            {"valid": True, "checkedRows": 7, "firstBadSeq": None, "headSeq": 7, "headHash": "ab" * 32},
        ),
        ("GET", "/tokens", page([TOKEN])),
        ("POST", "/tokens/report", {"received": 1}),
        ("POST", "/tokens", Answer(secret, 201)),
        ("POST", "/tokens/tok_1/rotate", secret),
        ("DELETE", "/tokens/tok_1", Answer(status=204)),
    ):
        api.on(method, path, answer)
