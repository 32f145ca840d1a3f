import { ArchiveError } from "../errors.js";
import type { Login, Source } from "./base.js";

/** A browser sends its own, and a header of this name would need the server's leave. */
export const sendsUserAgent = false;

export function environment(name: string): string | undefined {
  const process = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process;
  return process?.env?.[name];
}

export function runtimeName(): string {
  return "browser";
}

export function readLogin(): Login | null {
  return null;
}

export async function packDirectory(path: string): Promise<Source> {
  throw new ArchiveError(`${path} cannot be read: there are no folders outside of Node. Upload a Blob instead.`);
}
