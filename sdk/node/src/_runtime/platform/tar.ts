/* Headers of the pax format (POSIX.1-2001): ustar's, and before it an extended one for what ustar cannot say. */

import { BEHAVIOR } from "../../behavior.js";

const BLOCK = 512;
const MAX_NAME = 100;
const MAX_SIZE = 8 ** 11;
const { modifiedAt, fileMode, executableMode, linkMode } = BEHAVIOR.archive;

/** What ends an archive: two empty blocks. */
export const END = new Uint8Array(2 * BLOCK);

export function fileHeader(name: string, size: number, isProgram: boolean): Uint8Array {
  return header({ name, size, mode: isProgram ? executableMode : fileMode, type: "0", modifiedAt });
}

export function linkHeader(name: string, target: string): Uint8Array {
  return header({ name, target, size: 0, mode: linkMode, type: "2", modifiedAt });
}

/** Zeros up to the next block. */
export function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

interface Entry {
  name: string;
  target?: string;
  size: number;
  mode: number;
  type: string;
  modifiedAt: number;
}

function header(entry: Entry): Uint8Array {
  const records: string[] = [];
  if (!fits(entry.name)) records.push(record("path", entry.name));
  if (entry.target !== undefined && !fits(entry.target)) records.push(record("linkpath", entry.target));
  const isHuge = entry.size >= MAX_SIZE;
  if (isHuge) records.push(record("size", String(entry.size)));
  const own = block(isHuge ? { ...entry, size: 0 } : entry);
  if (records.length === 0) return own;
  const extended = Buffer.from(records.join(""));
  const size = extended.length;
  const before = block({ name: "././@PaxHeader", size, mode: 0o644, type: "x", modifiedAt });
  return Buffer.concat([before, extended, padding(size), own]);
}

function fits(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_NAME && Buffer.from(text).every(byte => byte < 0x80);
}

/** `<length> <keyword>=<value>\n`, where the length counts its own digits too. */
function record(keyword: string, value: string): string {
  const rest = Buffer.byteLength(` ${keyword}=${value}\n`);
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${keyword}=${value}\n`;
}

function block(entry: Entry): Uint8Array {
  const bytes = Buffer.alloc(BLOCK);
  ascii(entry.name).copy(bytes, 0);
  bytes.write(octal(entry.mode, 8), 100, "latin1");
  bytes.write(octal(0, 8), 108, "latin1");
  bytes.write(octal(0, 8), 116, "latin1");
  bytes.write(octal(entry.size, 12), 124, "latin1");
  bytes.write(octal(entry.modifiedAt, 12), 136, "latin1");
  bytes.write(" ".repeat(8), 148, "latin1");
  bytes.write(entry.type, 156, "latin1");
  ascii(entry.target ?? "").copy(bytes, 157);
  bytes.write("ustar\x0000", 257, "latin1");
  bytes.write(octal(0, 8), 329, "latin1");
  bytes.write(octal(0, 8), 337, "latin1");
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}

/** What of a name the old field can hold; the extended header has the whole. */
function ascii(text: string): Buffer {
  return Buffer.from(text)
    .map(byte => (byte < 0x80 ? byte : 0x3f))
    .subarray(0, MAX_NAME) as Buffer;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}
