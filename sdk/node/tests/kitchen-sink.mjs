// Everything that a program does with Cygni, against a real installation. Arguments: a folder to deploy, the port of
// the applications. Prints what it saw.
import assert from "node:assert/strict";
import http from "node:http";
import { CygniClient, NotFoundError } from "../dist/esm/index.js";

const [folder, port] = process.argv.slice(2);
const owner = new CygniClient();

/** The application's page; its name leads nowhere outside of browsers. */
function visit(url) {
  const { hostname } = new URL(url);
  return new Promise((done, failed) => {
    const request = http.get({ host: "127.0.0.1", port, headers: { Host: `${hostname}:${port}` } }, async response => {
      let text = "";
      for await (const chunk of response) text += chunk;
      done(text.trim());
    });
    request.on("error", failed);
  });
}

const scopes = ["projects:*", "deployments:*", "env:*", "logs:read", "tokens:*"];
const token = await owner.tokens.create({ name: "kitchen sink", scopes });
const client = new CygniClient({ apiKey: token.secret });

const project = await client.projects.create({ name: "sink" });
const progress = [];
const upload = await client.uploads.fromDirectory(folder, { onProgress: sent => progress.push(sent) });
const again = await client.uploads.fromDirectory(folder);
assert.equal(again.sha256, upload.sha256);

const first = await client.deployments.create({ projectId: project.id, uploadId: upload.id });
const lines = client.deployments.streamLogs(first.id);
let lineCount = 0;
for await (const { event } of lines) lineCount += Number(event === "log");
const ended = await client.deployments.wait(first.id);
const pages = [await visit(ended.url)];

const variable = await client.env.create({
  projectId: project.id,
  key: "COLOR",
  value: "grün",
  environments: ["production"],
  type: "plain",
});
const second = await client.deployments.redeploy(first.id, {});
await client.deployments.wait(second.id);
pages.push(await visit(ended.url));

const back = await client.projects.rollback(project.id, {});
const { type, status } = await client.deployments.wait(back.id);
pages.push(await visit(ended.url));

for (let at = 0; at < 250; at += 10) {
  const some = Array.from({ length: 10 }, (_, one) => ({ name: `many ${at + one}`, scopes: ["logs:read"] }));
  await Promise.all(some.map(params => client.tokens.create(params)));
}
const many = [];
for await (const one of client.tokens.list({ limit: 100, sort: "name" })) {
  if (one.name.startsWith("many ")) many.push(one.id);
}

const stale = client.env.update(variable.id, { value: "x" }, { ifMatch: '"stale.0"' });
const refused = await stale.catch(error => error.code);
await client.env.delete(variable.id);
await client.projects.delete(project.id, { confirm: "sink" });
const missing = await client.projects.get("nothing-of-the-kind").catch(error => error);
assert.ok(missing instanceof NotFoundError);

const found = {
  pages,
  lineCount,
  end: lines.end,
  rollback: [type, status],
  many: [many.length, new Set(many).size],
  refused,
  missing: [missing.code, missing.requestId === missing.lastResponse.headers.get("x-request-id")],
  progress: [progress[0], progress.at(-1) === upload.sizeBytes],
  deleted: (await client.projects.get(project.id)).status,
};
process.stdout.write(JSON.stringify(found));
