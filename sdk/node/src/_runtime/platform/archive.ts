/*
A folder as the tar that a deployment is built from. The same files give the same bytes on every machine and in every
language: order, times, owners and modes are fixed (sdk/README.md in Cygni's repository).
*/

import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join, posix } from "node:path";
import { BEHAVIOR } from "../../behavior.js";
import { ArchiveError } from "../errors.js";
import { IgnoreRules } from "./ignore.js";
import { END, fileHeader, linkHeader, padding } from "./tar.js";

const ALWAYS_IGNORED = new Set<string>(BEHAVIOR.archive.alwaysIgnored);

/**
 * The bytes of a tar of the folder, without what .gitignore and .cygniignore leave out.
 * @throws ArchiveError for a folder without files, or with a link that leads out of it
 */
export async function* archive(folder: string): AsyncGenerator<Uint8Array, void, void> {
  const status = await lstat(folder + posix.sep).catch(() => null);
  if (!status?.isDirectory()) throw new ArchiveError(`${folder} is not a directory.`);
  let isEmpty = true;
  for await (const name of files(folder)) {
    yield* entry(folder, name);
    isEmpty = false;
  }
  if (isEmpty) throw new ArchiveError(`${folder} has no files to deploy, or its ignore files leave none.`);
  yield END;
}

/** The files and links to pack, as paths relative to the folder, in a fixed order. */
export async function* files(folder: string): AsyncGenerator<string, void, void> {
  yield* walk(folder, "", []);
}

/** Git's rules: a deeper ignore file overrules a higher one, and nothing below an ignored folder comes back. */
async function* walk(folder: string, inside: string, above: IgnoreRules[]): AsyncGenerator<string, void, void> {
  const rules = [await rulesOf(folder, inside), ...above];
  const found = await readdir(join(folder, inside), { withFileTypes: true });
  found.sort((one, other) => Buffer.compare(Buffer.from(one.name), Buffer.from(other.name)));
  for (const one of found) {
    const name = inside + one.name;
    if (ALWAYS_IGNORED.has(one.name) || isIgnored(name, one.isDirectory(), rules)) continue;
    if (one.isDirectory()) yield* walk(folder, `${name}/`, rules);
    // sockets, pipes and devices are left out, as git leaves them out
    else if (one.isFile() || one.isSymbolicLink()) yield name;
  }
}

/** Of one folder, .cygniignore after .gitignore: the last match counts, so it can take back what git ignores. */
async function rulesOf(folder: string, inside: string): Promise<IgnoreRules> {
  const texts = BEHAVIOR.archive.ignoreFiles.map(name =>
    readFile(join(folder, inside, name), "utf8").catch(whenMissing),
  );
  return new IgnoreRules(inside, (await Promise.all(texts)).join("\n"));
}

function whenMissing(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT" || error.code === "EISDIR") return "";
  throw new ArchiveError(`${error.path} cannot be read: ${error.message}.`, { cause: error });
}

function isIgnored(name: string, isFolder: boolean, rules: IgnoreRules[]): boolean {
  for (const each of rules) {
    const verdict = each.verdict(name, isFolder);
    if (verdict !== null) return verdict;
  }
  return false;
}

async function* entry(folder: string, name: string): AsyncGenerator<Uint8Array, void, void> {
  const path = join(folder, name);
  const status = await lstat(path);
  if (status.isSymbolicLink()) {
    const target = await readlink(path);
    checkLink(name, target);
    yield linkHeader(name, target);
    return;
  }
  yield fileHeader(name, status.size, (status.mode & 0o100) !== 0);
  let read = 0;
  try {
    for await (const chunk of createReadStream(path)) {
      read += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw new ArchiveError(`${name} cannot be packed: ${(error as Error).message}.`, { cause: error });
  }
  if (read !== status.size) throw new ArchiveError(`${name} cannot be packed: it changed meanwhile.`);
  yield padding(read);
}

function checkLink(name: string, target: string): void {
  const where = posix.normalize(posix.join(posix.dirname(name), target));
  if (posix.isAbsolute(target) || where === ".." || where.startsWith("../")) {
    throw new ArchiveError(
      `${name} is a link to ${target}, outside of the directory: only what is inside is deployed.`,
    );
  }
}
