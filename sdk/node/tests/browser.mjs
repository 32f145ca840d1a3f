// Runs the package as a browser would: its own context, with what the web has and nothing of Node.
// Arguments: the API's URL. Needs --experimental-vm-modules.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import vm from "node:vm";

const WEB = ["AbortController", "AbortSignal", "Blob", "Headers", "Response", "TextDecoder", "TextEncoder", "URL"];
const MORE = ["URLSearchParams", "Uint8Array", "atob", "clearTimeout", "console", "crypto", "fetch", "setTimeout"];
const root = new URL("../dist/esm/", import.meta.url);
const context = vm.createContext(Object.fromEntries([...WEB, ...MORE].map(name => [name, globalThis[name]])));
const modules = new Map();

function load(url) {
  if (!modules.has(url.href)) modules.set(url.href, read(url));
  return modules.get(url.href);
}

async function read(url) {
  return new vm.SourceTextModule(await readFile(url, "utf8"), { context, identifier: url.href });
}

/** What a bundler for browsers does: no `node` condition, so the default one. */
async function link(specifier, from) {
  const path = specifier === "#platform" ? new URL("_runtime/platform/browser.js", root) : null;
  assert.ok(path || specifier.startsWith("."), `${from.identifier} needs ${specifier}, which no browser has`);
  return await load(path ?? new URL(specifier, from.identifier));
}

const entry = await load(new URL("index.js", root));
await entry.link(link);
await entry.evaluate();
const { CygniClient, ConfigurationError, webhooks } = entry.namespace;

assert.throws(
  () => new CygniClient(),
  error => error instanceof ConfigurationError,
);
const client = new CygniClient({ apiKey: "cygp_test", baseUrl: process.argv[2] });
const names = [];
for await (const project of client.projects.list()) names.push(project.name);
const lines = [];
for await (const line of client.logs.stream({ projectId: "shop" })) lines.push(line.data.message);
const upload = await client.uploads.fromBlob(new Blob(["archive"]));
await assert.rejects(client.uploads.fromDirectory("."), /no folders outside of Node/);
const secret = "your-webhook-secret";
const headers = {
  "webhook-id": "whd_1",
  "webhook-timestamp": "1704067200",
  "webhook-signature": "v1,kjlKfYenNRw+I34t9O5kJpvee7cwBvSmEiuCcSHBAlQ=",
};
const body = '{"type":"deployment.success","timestamp":"2024-01-01T00:00:00Z","data":{"id":"dep_123"}}';
const event = await webhooks.unwrap(body, headers, secret, { toleranceSeconds: 1e10 });
process.stdout.write(JSON.stringify({ names, lines, upload: upload.status, event: event.data.id }));
