import { BEHAVIOR } from "../behavior.js";
import type { Call } from "./call.js";
import { APIConnectionError, APIStatusError, statusErrorClass } from "./errors.js";
import type { APIResponse } from "./response.js";

const { retries } = BEHAVIOR;
const RETRIED_STATUSES = new Set<number>(retries.statuses);
const REPEATABLE_STATUSES = new Set<number>(retries.repeatableStatuses);
const REPEATABLE_METHODS = new Set<string>(retries.repeatableMethods);
const RETRIED_CODES: Readonly<Record<string, readonly string[]>> = retries.codes;

/** Seconds to wait before the next attempt; null if there should be none. `retry` counts from 0. */
export function delayBeforeRetry(call: Call, error: unknown, retry: number): number | null {
  if (retry >= call.maxRetries) return null;
  if (error instanceof APIConnectionError) return backoff(retry);
  if (!(error instanceof APIStatusError) || !isRetried(call, error)) return null;
  if (error.retryAfter === null) return backoff(retry);
  return error.retryAfter <= retries.maxRetryAfterSeconds ? error.retryAfter : null;
}

/** Full jitter: clients that failed together do not come back together. */
export function backoff(retry: number): number {
  return Math.random() * Math.min(retries.maxDelaySeconds, retries.firstDelaySeconds * 2 ** retry);
}

export function statusError(response: APIResponse): APIStatusError {
  let body = response.error;
  if (response.status >= 300 && response.status < 400 && !body.code) {
    const target = response.headers.get("location") ?? "nowhere";
    body = { code: "redirected", message: `The API redirects to ${target}, where the key is not sent.` };
  }
  return new (statusErrorClass(response.status))(response, body, retryAfter(response.headers));
}

/** Wait; @throws the signal's reason as soon as it is given. */
export function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done, failed) => {
    signal?.throwIfAborted();
    const stopped = () => {
      clearTimeout(timer);
      failed(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stopped);
      done();
    }, seconds * 1000);
    signal?.addEventListener("abort", stopped, { once: true });
  });
}

function isRetried(call: Call, error: APIStatusError): boolean {
  const advice = error.lastResponse.headers.get(retries.adviceHeader);
  if (advice === "true" || advice === "false") return advice === "true";
  if (RETRIED_CODES[error.status]?.includes(error.code)) return true;
  if (REPEATABLE_STATUSES.has(error.status)) {
    return REPEATABLE_METHODS.has(call.method) || BEHAVIOR.idempotency.header in call.headers;
  }
  return RETRIED_STATUSES.has(error.status);
}

/** Seconds, from either form of RFC 9110 section 10.2.3. */
function retryAfter(headers: Headers): number | null {
  const text = headers.get(retries.afterHeader);
  if (text === null) return null;
  if (/^\s*\d+\s*$/.test(text)) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}
