import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { CygniClient, CygniError, NotFoundError, Page, WaitTimeoutError } from "../dist/esm/index.js";

/** A client whose fetch answers by the script, and the requests that it got. */
function scripted(...answers) {
  const requests = [];
  const fetch = async (url, init) => {
    requests.push({ url, ...init });
    const answer = answers.shift();
    if (answer === undefined) throw new Error("the script is over");
    return typeof answer === "function" ? answer(init) : answer;
  };
  const client = new CygniClient({ apiKey: "cygp_test", baseUrl: "http://api.test", fetch, maxRetries: 0 });
  return { client, requests };
}

function answer(data, { status = 200, headers = {}, ...meta } = {}) {
  return Response.json({ data, meta: { requestId: "req_1", ...meta } }, { status, headers });
}

const page = { page: 1, limit: 1, total: 2, pages: 2, totalIsEstimate: false, hasMore: true, nextCursor: "c" };

test("what brought a result is there and not seen", async () => {
  const { client } = scripted(answer({ id: "proj_1" }, { headers: { ETag: '"x.1"' }, warnings: [{ code: "w" }] }));
  const project = await client.projects.get("shop");
  assert.equal(JSON.stringify(project), '{"id":"proj_1"}');
  assert.deepEqual({ ...project }, { id: "proj_1" });
  assert.equal(project.lastResponse.etag, '"x.1"');
  assert.deepEqual(project.lastResponse.warnings, [{ code: "w" }]);
});

test("bytes come as they are sent, and who stops reading ends the line", async () => {
  const pieces = ["one\n", "two\n", "three\n"].map(text => new TextEncoder().encode(text));
  const body = () => new Response(new ReadableStream({ pull: line => line.enqueue(pieces.shift()) }));
  const { client, requests } = scripted(body());
  let seen = "";
  for await (const piece of client.auditLogs.export({ format: "jsonl" })) {
    seen += new TextDecoder().decode(piece);
    if (seen.length > 4) break;
  }
  assert.equal(seen, "one\ntwo\n");
  assert.equal(requests[0].url, "http://api.test/v1/audit-logs/export?format=jsonl");
  assert.equal(requests[0].headers.Accept, "*/*");
  assert.ok(requests[0].signal.aborted);
});

test("a refusal of bytes is thrown as of any call, and a broken line is no end", async () => {
  const refusal = Response.json({ error: { code: "not_found", message: "" } }, { status: 404 });
  const broken = new Response(new ReadableStream({ pull: line => line.error(new Error("reset")) }));
  const { client } = scripted(refusal, broken);
  await assert.rejects(client.auditLogs.export().next(), NotFoundError);
  await assert.rejects(client.auditLogs.export().next(), CygniError);
});

test("a list asks when it is used, and each time anew", async () => {
  const { client, requests } = scripted(answer([{ id: "a" }], { pagination: page }), answer([{ id: "b" }]), answer([]));
  const list = client.projects.list({ status: ["active"] });
  assert.equal(requests.length, 0);
  const first = await list;
  assert.ok(first instanceof Page);
  const second = await first.nextPage();
  assert.deepEqual([first.items, second.items], [[{ id: "a" }], [{ id: "b" }]]);
  assert.equal(await second.nextPage(), null);
  assert.deepEqual(await list.then(({ items }) => items), []);
  assert.deepEqual(
    requests.map(({ url }) => new URL(url).search),
    ["?status=active", "?status=active&cursor=c", "?status=active"],
  );
});

test("a refused list is caught as any promise", async () => {
  const { client } = scripted(new Response("", { status: 404 }));
  let isOver = false;
  const caught = await client.projects
    .list()
    .finally(() => {
      isOver = true;
    })
    .catch(error => error);
  assert.ok(caught instanceof NotFoundError);
  assert.ok(isOver);
});

test("the caller's signal ends a call and its waits, with the caller's reason", async () => {
  const hanging = init =>
    new Promise((_, failed) => init.signal.addEventListener("abort", () => failed(init.signal.reason)));
  const reason = new Error("enough");
  for (const answers of [[hanging], [new Response("", { status: 429, headers: { "Retry-After": "50" } })]]) {
    const { client, requests } = scripted(...answers);
    const stop = new AbortController();
    const call = client.projects.get("shop", { signal: stop.signal, maxRetries: 1 });
    setTimeout(() => stop.abort(reason), 20);
    await assert.rejects(call, error => error === reason);
    assert.equal(requests.length, 1);
    await assert.rejects(client.projects.get("shop", { signal: stop.signal }), error => error === reason);
    assert.equal(requests.length, 1);
  }
});

test("a closed stream has no more events and no error", async () => {
  const body = () =>
    new ReadableStream({
      start: controller => controller.enqueue(new TextEncoder().encode('id: 1\nevent: log\ndata: {"n":1}\n\n')),
    });
  const { client, requests } = scripted(new Response(body(), { headers: { "Content-Type": "text/event-stream" } }));
  const stream = client.logs.stream({ projectId: "shop" });
  const seen = [];
  for await (const event of stream) {
    seen.push(event.data);
    stream.close();
  }
  assert.deepEqual(seen, [{ n: 1 }]);
  assert.equal(stream.end, null);
  assert.equal(requests.length, 1);
});

test("leaving the loop ends the connection", async () => {
  let isCancelled = false;
  const body = new ReadableStream({
    start: controller => controller.enqueue(new TextEncoder().encode('event: log\ndata: {"n":1}\n\n')),
    cancel: () => {
      isCancelled = true;
    },
  });
  const { client } = scripted(init => {
    init.signal.addEventListener("abort", () => {
      isCancelled = true;
    });
    return new Response(body);
  });
  for await (const _ of client.logs.stream({ projectId: "shop" })) break;
  assert.ok(isCancelled);
});

test("a blob is uploaded in parts", async () => {
  const size = 9 * 2 ** 20;
  const blob = new Blob([new Uint8Array(size)], { type: "application/zip" });
  const upload = (receivedBytes, status) => answer({ id: "upl_1", status, receivedBytes });
  const { client, requests } = scripted(upload(0, "pending"), upload(8 * 2 ** 20, "pending"), upload(size, "complete"));
  const told = [];
  await client.uploads.fromBlob(blob, { onProgress: (sent, total) => told.push([sent, total]) });
  const declared = JSON.parse(new TextDecoder().decode(requests[0].body));
  const sha256 = createHash("sha256").update(new Uint8Array(size)).digest("hex");
  assert.deepEqual(declared, { sizeBytes: size, sha256, contentType: "application/zip" });
  assert.deepEqual(
    requests.slice(1).map(({ headers }) => headers["Content-Range"]),
    [`bytes 0-${8 * 2 ** 20 - 1}/${size}`, `bytes ${8 * 2 ** 20}-${size - 1}/${size}`],
  );
  assert.deepEqual(told, [
    [0, size],
    [8 * 2 ** 20, size],
    [size, size],
  ]);
});

test("what is waited for is told as it was last seen", async () => {
  const { client } = scripted(answer({ id: "dep_1", status: "building", finishedAt: null }));
  await assert.rejects(client.deployments.wait("dep_1", { timeout: 0 }), error => {
    assert.ok(error instanceof WaitTimeoutError && error instanceof CygniError);
    assert.equal(error.deployment.status, "building");
    return true;
  });
});

test("a body and a query are told apart", async () => {
  const { client, requests } = scripted(answer({}));
  await client.env.setAll({ projectId: "shop", set: [], dryRun: true });
  assert.equal(new URL(requests[0].url).search, "?dryRun=true");
  assert.deepEqual(Object.keys(JSON.parse(new TextDecoder().decode(requests[0].body))), ["projectId", "set"]);
});
