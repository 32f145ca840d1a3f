import { BEHAVIOR } from "../behavior.js";
import type { KnownEvent } from "../types.js";
import { WebhookVerificationError } from "./errors.js";
import { isObject } from "./response.js";

const names = BEHAVIOR.webhooks;

/** A request's headers, as whatever serves HTTP has them. */
export type HeadersLike =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface VerifyOptions {
  /** How far the timestamp may be from now; 300 unless given. */
  toleranceSeconds?: number;
}

/** What every webhook's body has, of a type known or not. */
export interface AnyEvent {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
  [field: string]: unknown;
}

/**
 * Check that a request comes from Cygni and is not an old one sent again (Standard Webhooks 1.0.0).
 * `body` is the request's body as it came, not parsed and written anew. Works without a client and without a key.
 * @throws WebhookVerificationError
 */
export async function verify(
  body: string | Uint8Array,
  headers: HeadersLike,
  secret: string,
  options: VerifyOptions = {},
): Promise<void> {
  const id = header(headers, names.idHeader);
  const stamp = header(headers, names.timestampHeader);
  const signatures = header(headers, names.signatureHeader);
  if (!/^\d{1,15}$/.test(stamp)) throw new WebhookVerificationError("The header webhook-timestamp is not a time.");
  const age = Date.now() / 1000 - Number(stamp);
  if (Math.abs(age) > (options.toleranceSeconds ?? names.toleranceSeconds)) {
    throw new WebhookVerificationError(
      `The webhook was sent ${Math.round(age)} s ago: it may be an old one sent again.`,
    );
  }
  const key = await crypto.subtle.importKey("raw", keyOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const text = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const signed = joined(new TextEncoder().encode(`${id}.${stamp}.`), text);
  for (const signature of signatures.split(" ")) {
    const [version, value] = signature.split(",", 2);
    const bytes = version === "v1" && value ? fromBase64(value) : null;
    if (bytes !== null && (await crypto.subtle.verify("HMAC", key, bytes, signed))) return;
  }
  throw new WebhookVerificationError("No signature of the webhook is one of this secret.");
}

/**
 * Check a request as `verify` does, and parse its body.
 * @throws WebhookVerificationError
 */
export async function unwrap(
  body: string | Uint8Array,
  headers: HeadersLike,
  secret: string,
  options: VerifyOptions = {},
): Promise<KnownEvent | AnyEvent> {
  await verify(body, headers, secret, options);
  try {
    const event: unknown = JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body));
    if (isObject(event) && typeof event["type"] === "string") return event as AnyEvent;
  } catch (error) {
    throw new WebhookVerificationError("The webhook's body is not JSON.", { cause: error });
  }
  throw new WebhookVerificationError("The webhook's body is not an event.");
}

function header(headers: HeadersLike, name: string): string {
  const found =
    typeof headers.get === "function"
      ? headers.get(name)
      : Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1];
  const value = Array.isArray(found) ? found[0] : found;
  if (!value) throw new WebhookVerificationError(`The header ${name} is missing.`);
  return String(value);
}

/** The bytes of a secret: base64 after `whsec_`, else the text itself. */
function keyOf(secret: string): Uint8Array<ArrayBuffer> {
  if (!secret.startsWith("whsec_")) return new TextEncoder().encode(secret);
  const bytes = fromBase64(secret.slice("whsec_".length));
  if (bytes === null) throw new WebhookVerificationError("The secret is not one: what follows whsec_ is not base64.");
  return bytes;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
