import { runtimeName, sendsUserAgent } from "#platform";
import { BEHAVIOR } from "../behavior.js";
import { WIRE_NAMES } from "../params.js";
import type { Target } from "./config.js";

const names = BEHAVIOR.headers;
const KEYED_METHODS = new Set<string>(BEHAVIOR.idempotency.methods);

export type QueryValue = string | number | boolean | null | undefined | readonly string[];
export type Query = Readonly<Record<string, QueryValue>>;

/** What every call may say of itself, last of its arguments. */
export interface RequestOptions {
  /** Seconds from the request to the end of its answer; of a stream: the longest silence. */
  timeout?: number | undefined;
  maxRetries?: number | undefined;
  /** Every POST has one of its own unless it is given. */
  idempotencyKey?: string | undefined;
  /** The ETag that the resource must still have. */
  ifMatch?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Ends the call, its retries and waits included. */
  signal?: AbortSignal | undefined;
}

/** As RequestOptions, of a stream. */
export interface StreamOptions extends RequestOptions {
  /** Begin after this event. */
  lastEventId?: string | undefined;
}

/** What a method knows of its call. */
export interface CallSpec {
  method: string;
  path: string;
  query?: object | undefined;
  body?: unknown;
  content?: Uint8Array | undefined;
  headers?: Record<string, string> | undefined;
}

/** One request, the same at every attempt: its idempotency key is made once. */
export interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly content: Uint8Array | undefined;
  /** Seconds. */
  readonly timeout: number;
  readonly maxRetries: number;
  readonly isStream: boolean;
  readonly signal: AbortSignal | undefined;
}

export interface Defaults {
  timeout: number;
  maxRetries: number;
  clientName: string;
}

/** Turns the arguments of a method into a Call, with the client's URL, key and defaults. */
export class CallBuilder {
  private readonly headers: Record<string, string>;

  constructor(
    private readonly target: Target,
    private readonly defaults: Defaults,
  ) {
    const sdk = `node/${BEHAVIOR.version}`;
    const runtime = runtimeName();
    this.headers = {
      Accept: "application/json",
      [names.client]: JSON.stringify({ name: defaults.clientName, sdk, runtime }),
    };
    if (sendsUserAgent) this.headers["User-Agent"] = `cygni-${sdk} (${runtime})`;
    if (target.apiKey) this.headers["Authorization"] = `Bearer ${target.apiKey}`;
  }

  get baseUrl(): string {
    return this.target.baseUrl;
  }

  /** @throws TypeError for a path that is not one: a URL found in an answer must not receive the key. */
  build(spec: CallSpec, options: RequestOptions = {}, isStream = false, accept = "text/event-stream"): Call {
    const method = spec.method.toUpperCase();
    const headers: Record<string, string> = { ...this.headers, ...spec.headers };
    let content = spec.content;
    if (spec.body !== undefined) {
      content = new TextEncoder().encode(JSON.stringify(spec.body));
      headers["Content-Type"] = "application/json";
    }
    const key = options.idempotencyKey ?? (KEYED_METHODS.has(method) ? crypto.randomUUID() : undefined);
    if (key !== undefined) headers[BEHAVIOR.idempotency.header] = key;
    if (options.ifMatch !== undefined) headers[names.ifMatch] = options.ifMatch;
    if (isStream) headers["Accept"] = accept;
    return {
      method,
      url: this.url(spec.path) + queryText(spec.query as Query | undefined),
      headers: { ...headers, ...options.headers },
      content,
      timeout: options.timeout ?? this.defaults.timeout,
      maxRetries: options.maxRetries ?? this.defaults.maxRetries,
      isStream,
      signal: options.signal,
    };
  }

  private url(path: string): string {
    if (!path.startsWith("/") || path.includes("\\")) {
      throw new TypeError(`${path} is not a path of the API; it looks like /v1/projects`);
    }
    const base = this.target.baseUrl;
    // The documentation writes routes with /v1; the base URL ends in it.
    const isDoubled = base.endsWith("/v1") && (path === "/v1" || path.startsWith("/v1/"));
    // Joined as text, never resolved: no path can lead to another origin.
    return base + (isDoubled ? path.slice("/v1".length) : path);
  }
}

/**
 * An id or a name as one segment of a path, escaped so that it stays one.
 * @throws TypeError for what would be another path: nothing, `.` and `..`
 */
export function segment(value: string): string {
  // Programs in JavaScript pass undefined, too.
  if (typeof value !== "string" || value === "" || value === "." || value === "..") {
    throw new TypeError(`${JSON.stringify(value)} is not an id or a name.`);
  }
  return encodeURIComponent(value).replace(/[!'()*]/g, mark => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The headers of a body that is not JSON. */
export function mediaHeaders(params: {
  contentType: string;
  contentRange?: string | undefined;
}): Record<string, string> {
  const range = params.contentRange === undefined ? {} : { "Content-Range": params.contentRange };
  return { "Content-Type": params.contentType, ...range };
}

/** What is not given or null is left out; several values are one text with commas. */
function queryText(query: Query | undefined): string {
  if (query === undefined) return "";
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value != null) pairs.append(WIRE_NAMES[name] ?? name, String(value));
  }
  const text = pairs.toString();
  return text && `?${text}`;
}
