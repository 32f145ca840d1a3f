import { createHash } from "node:crypto";
import { createWriteStream, readFileSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { ConfigurationError } from "../errors.js";
import { archive } from "./archive.js";
import type { Login, Source } from "./base.js";

export const sendsUserAgent = true;

export function environment(name: string): string | undefined {
  return process.env[name];
}

export function runtimeName(): string {
  return `node/${process.versions.node}`;
}

/**
 * The login that `cygni login` kept, null without one.
 * @throws ConfigurationError if the file is not what it writes
 */
export function readLogin(): Login | null {
  const path = join(process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "cygni", "login.json");
  try {
    const kept: Partial<Login> = JSON.parse(readFileSync(path, "utf8"));
    if (kept.apiUrl && kept.apiKey) return { apiUrl: kept.apiUrl, apiKey: kept.apiKey };
    throw new Error("apiUrl or apiKey is missing");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new ConfigurationError(`${path} cannot be used (${error}). Run \`cygni login\` to write it anew.`, {
      cause: error,
    });
  }
}

/**
 * A folder as a gzipped tar, in a file of its own: archives may be larger than memory.
 * @throws ArchiveError
 */
export async function packDirectory(path: string): Promise<Source> {
  const folder = await mkdtemp(join(tmpdir(), "cygni-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const file = join(folder, "archive");
    const digest = createHash("sha256");
    let size = 0;
    const measure = new Transform({
      transform(chunk: Buffer, _, done) {
        digest.update(chunk);
        size += chunk.length;
        done(null, chunk);
      },
    });
    await pipeline(Readable.from(archive(path)), createGzip({ level: 6 }), measure, createWriteStream(file));
    const handle = await open(file);
    return {
      size,
      sha256: digest.digest("hex"),
      async read(start, end) {
        const { buffer, bytesRead } = await handle.read(new Uint8Array(end - start), 0, end - start, start);
        return buffer.subarray(0, bytesRead);
      },
      async close() {
        await handle.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
