"""Lint, the tests in JavaScript, what is packed, and what a user's program makes of it."""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conformance.server import ScriptedServer

NODE = Path(__file__).parents[1]
PAGE = {"page": 1, "limit": 20, "total": 1, "pages": 1, "totalIsEstimate": False, "hasMore": False}
LINE = 'id: log_1\nevent: log\ndata: {"message":"hello"}'
END = 'event: end\ndata: {"reason":"finished","status":null,"exitCode":null}'

USER = """
import { CygniClient, type Deployment, type DeploymentStatus, NotFoundError, type Project, webhooks } from "@cygni/sdk";

const client = new CygniClient({ apiKey: "cygp_test" });

export async function use(): Promise<Project[]> {
  const found: Project[] = [];
  for await (const project of client.projects.list({ status: ["active"], createdAtGte: "2026-01-01" })) {
    found.push(project);
  }
  const page = await client.projects.list();
  const total: number | null | undefined = page.pagination?.total;
  const made: Deployment = await client.deployments.create({ projectId: "shop", uploadId: "upl_1" });
  const status: DeploymentStatus = made.status;
  const newer: DeploymentStatus = "a value of a newer server";
  await client.projects.update("shop", { framework: null });
  const raw = await client.raw.projects.get("shop");
  const parsed: Project = raw.parse();
  const pages = await client.raw.projects.list();
  const first: Project | undefined = pages.parse()[0];
  const remaining: number | undefined = (await client.projects.get("shop")).lastResponse.rateLimit?.remaining;
  for await (const line of client.deployments.streamLogs(made.id)) {
    const message: string = line.data.message;
    console.log(message, total, status, newer, parsed, first, remaining);
  }
  await client.deployments.wait(made.id, { timeout: 60 }).catch(error => {
    if (error instanceof NotFoundError) console.log(error.code, error.requestId);
  });
  await webhooks.verify("{}", new Headers(), "whsec_");
  return found;
}

// @ts-expect-error a name is required
client.projects.create({});
// @ts-expect-error there is no such status
client.deployments.list({ status: ["hovering"] });
// @ts-expect-error framework takes no number
client.projects.update("shop", { framework: 1 });
// @ts-expect-error there is no such noun
client.nothing;
"""

ESM = """
import { CygniClient, webhooks } from "@cygni/sdk";
const client = new CygniClient();
const names = [];
for await (const project of client.projects.list()) names.push(project.name);
console.log(JSON.stringify([names, typeof webhooks.verify]));
"""
CJS = """
const { CygniClient, NotFoundError, webhooks } = require("@cygni/sdk");
new CygniClient().projects.get("none").catch(error => {
  console.log(JSON.stringify([error instanceof NotFoundError, error.code, typeof webhooks.verify]));
});
"""


def test_lint_and_types(node):
    node("npm", "run", "--silent", "lint")


def test_the_tests_in_javascript(node):
    files = sorted(str(path) for path in (NODE / "test").glob("*.test.mjs"))
    done = node("node", "--test", "--test-reporter=tap", *files)
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)[1]) > 5


def test_the_lock_file_has_no_addresses():
    lock = json.loads((NODE / "package-lock.json").read_text())
    assert lock["packages"]
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_there_are_no_dependencies():
    package = json.loads((NODE / "package.json").read_text())
    assert not package.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    assert package["version"] == json.loads((NODE.parent / "behavior.json").read_text())["version"]


@pytest.fixture(scope="module")
def installed(node, tmp_path_factory):
    """A clean folder into which the packed package has been installed."""
    folder = tmp_path_factory.mktemp("user")
    packed = json.loads(node("npm", "pack", "--json", "--ignore-scripts", "--pack-destination", str(folder)).stdout)
    entry = packed[0] if isinstance(packed, list) else next(iter(packed.values()))
    archive = folder / entry["filename"].replace("@", "").replace("/", "-")
    (folder / "package.json").write_text('{"name": "user", "private": true, "type": "module"}')
    node("npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", str(archive), cwd=folder)
    return folder


def test_what_is_packed(installed):
    with tarfile.open(next(installed.glob("*.tgz"))) as archive:
        names = archive.getnames()
    assert {"package/README.md", "package/dist/esm/index.d.ts", "package/dist/cjs/index.js"} <= set(names)
    assert not [name for name in names if not name.startswith(("package/dist/", "package/README", "package/package"))]
    assert [path.name for path in (installed / "node_modules").iterdir() if path.name[0] != "."] == ["@cygni"]


def test_a_module_imports_it(node, installed):
    server = ScriptedServer([{"data": [{"name": "shop"}], "meta": {"pagination": PAGE}}])
    try:
        (installed / "user.mjs").write_text(ESM)
        env = {"CYGNI_API_KEY": "cygp_test", "CYGNI_API_URL": server.origin}
        assert json.loads(node("node", "user.mjs", cwd=installed, **env).stdout) == [["shop"], "function"]
    finally:
        server.stop()


def test_a_commonjs_program_requires_it(node, installed):
    server = ScriptedServer([{"status": 404, "error": {"code": "not_found"}}])
    try:
        (installed / "user.cjs").write_text(CJS)
        env = {"CYGNI_API_KEY": "cygp_test", "CYGNI_API_URL": server.origin}
        assert json.loads(node("node", "user.cjs", cwd=installed, **env).stdout) == [True, "not_found", "function"]
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["user.ts", "user.cts"])
def test_a_typed_program_compiles(node, installed, name):
    (installed / name).write_text(USER)
    tsc = str(NODE / "node_modules" / "typescript" / "bin" / "tsc")
    strict = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "false", "--types", ""]
    libraries = ["--target", "es2022", "--lib", "es2023,dom,dom.iterable,dom.asynciterable"]
    node("node", tsc, *strict, *libraries, "--module", "nodenext", name, cwd=installed)


def test_a_browser_needs_nothing_of_node(node):
    server = ScriptedServer(_browser_script())
    try:
        told = node("node", "--no-warnings", "--experimental-vm-modules", "tests/browser.mjs", f"{server.origin}/v1")
        assert json.loads(told.stdout) == {
            "names": ["shop"],
            "lines": ["hello"],
            "upload": "complete",
            "event": "dep_123",
        }
        assert {request.headers["user-agent"] for request in server.requests} == {"node"}
    finally:
        server.stop()


def test_a_real_browser_runs_it(node, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    pages = _Pages(NODE / "dist" / "esm", _browser_script())
    try:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path}"]
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
        wait = ["--virtual-time-budget=20000", "--dump-dom"]
        said = subprocess.run(
            [chromium, *arguments, *quiet, *wait, f"{pages.origin}/page.html"],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        assert "<p>shop hello complete</p>" in said.stdout
    finally:
        pages.stop()


def _browser_script():
    return [
        {"data": [{"name": "shop"}], "meta": {"pagination": PAGE}},
        {"sse": [LINE, END]},
        {"upload": True},
        {"upload": True},
    ]


class _Pages(ScriptedServer):
    """The API, and on the same origin a page and the package's modules."""

    def __init__(self, folder: Path, script):
        self._folder = folder
        super().__init__(script)

    def _answer(self, handler, at):
        path = handler.path.partition("?")[0]
        if path.startswith("/v1/"):
            super()._answer(handler, at)
            return
        file = self._folder / path.removeprefix("/esm/")
        content = _PAGE.encode() if path == "/page.html" else file.read_bytes() if file.is_file() else b""
        handler.send_response(200 if content else 404)
        handler.send_header("Content-Type", "text/html" if path.endswith(".html") else "text/javascript")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


_PAGE = """<!doctype html>
<script type="importmap">{"imports": {"#platform": "/esm/_runtime/platform/browser.js"}}</script>
<body><script type="module">
import { CygniClient } from "/esm/index.js";
const client = new CygniClient({ apiKey: "cygp_test", baseUrl: location.origin });
const said = [];
for await (const project of client.projects.list()) said.push(project.name);
for await (const line of client.logs.stream({ projectId: "shop" })) said.push(line.data.message);
said.push((await client.uploads.fromBlob(new Blob(["archive"]))).status);
document.body.innerHTML = `<p>${said.join(" ")}</p>`;
</script></body>
"""
