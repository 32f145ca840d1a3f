import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { archive, files } from "../dist/esm/_runtime/platform/archive.js";
import { IgnoreRules } from "../dist/esm/_runtime/platform/ignore.js";

const vector = JSON.parse(await readFile(new URL("../../archive-vector.json", import.meta.url), "utf8"));

async function folder(context) {
  const path = await mkdtemp(join(tmpdir(), "cygni-test-"));
  context.after(() => rm(path, { recursive: true }));
  return path;
}

test("the tar is the one of every language", async context => {
  const root = await folder(context);
  for (const file of vector.files) {
    const path = join(root, file.path);
    await mkdir(dirname(path), { recursive: true });
    if (file.link) await symlink(file.link, path);
    else await writeFile(path, file.text);
    if (!file.link) await chmod(path, file.executable ? 0o750 : 0o640);
  }
  assert.deepEqual(await collected(files(root)), vector.names);
  const tar = Buffer.concat(await collected(archive(root)));
  assert.equal(createHash("sha256").update(tar).digest("hex"), vector.sha256);
  assert.equal(tar.length, vector.sizeBytes);
});

test("ignore rules", () => {
  const cases = [
    ["*.log", { "a.log": true, "b/a.log": true, "a.logs": null }],
    ["/a", { a: true, "b/a": null }],
    ["a/b", { "a/b": true, "c/a/b": null }],
    ["a/", { a: null, "a/": true }],
    ["**/a", { a: true, "b/c/a": true }],
    ["a/**", { "a/b": true, "a/b/c": true, a: null }],
    ["a/**/b", { "a/b": true, "a/x/y/b": true }],
    ["!a", { a: false }],
    ["\\!a", { "!a": true, a: null }],
    ["\\#a", { "#a": true }],
    ["#a", { "#a": null }],
    ["a ", { a: true }],
    ["a\\ ", { "a ": true, a: null }],
    ["[a-c]-?", { "b-x": true, "d-x": null, "b-/": null }],
    ["[!a]", { b: true, a: null }],
    ["[[:digit:]]", { 1: true, a: null }],
    ["[z-a]", { a: null }],
    ["a.b", { "a.b": true, axb: null }],
    ["ü*", { üx: true }],
    ["a\r\nb", { a: true, b: true }],
  ];
  for (const [rule, verdicts] of cases) {
    for (const [name, verdict] of Object.entries(verdicts)) {
      const isFolder = name.endsWith("/");
      const path = isFolder ? name.slice(0, -1) : name;
      assert.equal(new IgnoreRules("", rule).verdict(path, isFolder), verdict, `${rule} of ${name}`);
    }
  }
  assert.equal(new IgnoreRules("sub/", "/a").verdict("sub/a", false), true);
});

async function collected(source) {
  const found = [];
  for await (const one of source) found.push(one);
  return found;
}
