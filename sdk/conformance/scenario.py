"""A scenario: read from its file, played to one language, judged."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import io
import json
import re
import socket
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import yaml

from .expectation import differences
from .languages import Language, run
from .server import ScriptedServer, Seen

FOLDER = Path(__file__).parent / "scenarios"
_VECTOR: dict[str, Any] = json.loads((Path(__file__).parents[1] / "archive-vector.json").read_text())


@dataclass(frozen=True)
class Scenario:
    name: str
    told: dict[str, Any]

    def play(self, language: Language, command: list[str], folder: Path) -> list[str]:
        """Every difference between what is expected and what this language did; `folder` is empty."""
        server = ScriptedServer(script := [])
        try:
            told = _filled(self.told, server, folder / "files")
            _make_files(folder, told.get("files", {}))
            script += told.get("server", [])
            document: dict[str, Any] = {"calls": [_signed(call) for call in told.get("calls", [])]}
            if (client := told.get("client", {})) is not None:
                client = {"apiKey": "cygp_test", "baseUrl": f"{server.origin}/v1", **client}
                document["client"] = {name: value for name, value in client.items() if value is not None}
            env = {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config"), **told.get("env", {})}
            report, noise = run(language, command, document, env)
        finally:
            server.stop()
        found = list(_judged(told["expect"], report, server))
        return [*found, f"the driver said: {noise}"] if found and noise else found


def scenarios() -> list[Scenario]:
    """All of them, in the order of their files."""
    found = [told for path in sorted(FOLDER.glob("*.yaml")) for told in yaml.safe_load(path.read_text())]
    return [Scenario(told["name"], told) for told in found]


def _judged(expect: dict[str, Any], report: dict[str, Any], server: ScriptedServer) -> Iterator[str]:
    yield from (f"a request too many: {request}" for request in server.surplus)
    yield from (f"a reply nobody asked for: {reply}" for reply in server.script)
    if "client" in expect:
        yield from differences(expect["client"], report.get("client"), "client")
    else:
        yield from differences(expect.get("calls", []), report.get("calls"), "calls")
    yield from _requests(expect.get("requests", []), server.requests)
    if "uploaded" in expect:
        yield from differences(expect["uploaded"], _archive(server), "uploaded")


def _archive(server: ScriptedServer) -> dict[str, Any]:
    """What was uploaded: the hash and the members of its tar, and whether the bytes are those that were announced."""
    content = server.upload.content
    tar = gzip.decompress(content)
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        names = members.getnames()
    is_declared = hashlib.sha256(content).hexdigest() == server.upload.declared["sha256"]
    return {"tar": hashlib.sha256(tar).hexdigest(), "names": names, "isDeclared": is_declared}


def _requests(expected: list[dict[str, Any]], seen: list[Seen]) -> Iterator[str]:
    if len(expected) != len(seen):
        lines = [f"{one.at} {one.method} {one.path}" for one in seen]
        yield f"requests: expected {len(expected)}, saw {len(seen)}: {lines}"
    first = seen[0].described() if seen else {}
    for index, (each, one) in enumerate(zip(expected, seen, strict=False)):
        told = {name: value for name, value in each.items() if name != "after"}
        yield from differences(told, one.described(), f"requests[{index}]", first)
        if "after" in each:
            waited = one.time - seen[index - 1].time
            if waited < each["after"]:
                yield f"requests[{index}]: came after {waited:.2f} s, not before {each['after']} s are over"


def _make_files(folder: Path, files: dict[str, Any] | str) -> None:
    """The named files, a text or {link: target} each; `<vector>` stands for those of archive-vector.json."""
    root = folder / "files"
    for path in (root, folder / "home", folder / "config"):
        path.mkdir()
    if isinstance(files, str):
        files = {one["path"]: one for one in _VECTOR["files"]}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        told: dict[str, Any] = {"text": content} if isinstance(content, str) else content
        if "link" in told:
            path.symlink_to(told["link"])
            continue
        path.write_text(told["text"])
        path.chmod(0o755 if told.get("executable") else 0o640)


def _filled(told: dict[str, Any], server: ScriptedServer, folder: Path) -> dict[str, Any]:
    """The scenario without placeholders."""
    text = json.dumps(told)
    places = {"server": server.origin, "other": server.other, "closed": _closed(), "folder": str(folder)}
    places["vector"] = _VECTOR["sha256"]
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    text = re.sub(r"\{in:(\d+)\}", lambda found: formatdate(time.time() + int(found[1]), usegmt=True), text)
    text = re.sub(r"\{repeat:(\d+):(.)\}", lambda found: found[2] * int(found[1]), text)
    return json.loads(text)


def _closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def _signed(call: dict[str, Any]) -> dict[str, Any]:
    """A webhook call with the headers that its `sign` asks for (Standard Webhooks 1.0.0)."""
    args = dict(call.get("args", {}))
    if (sign := args.pop("sign", None)) is None:
        return call
    stamp = str(int(time.time()) - sign.get("age", 0))
    signatures: list[str] = []
    for secret in sign["secrets"]:
        raw = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
        signed = f"{sign['id']}.{stamp}.{args['body']}".encode()
        signatures.append("v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode())
    headers = {"webhook-id": sign["id"], "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}
    return {**call, "args": {**args, "headers": {**headers, **args.get("headers", {})}}}
