import { BEHAVIOR } from "../behavior.js";
import type { ErrorBody } from "./errors.js";

const names = BEHAVIOR.headers;
const UTF_8 = new TextDecoder();

/** Where a page stands in its list; `page`, `total` and `pages` are null in cursor form. */
export interface Pagination {
  page: number | null;
  limit: number;
  total: number | null;
  pages: number | null;
  totalIsEstimate: boolean;
  hasMore: boolean;
  nextCursor: string | null;
  prevCursor: string | null;
}

/** What the caller should know although the call succeeded. */
export interface APIWarning {
  code: string;
  message: string;
  path: string | null;
}

/** The window with the lowest remaining share; `reset` is the Unix second at which it is full again. */
export interface RateLimit {
  limit: number;
  remaining: number;
  reset: number;
  used: number | null;
  resource: string | null;
}

interface Meta {
  requestId?: string;
  pagination?: Pagination;
  warnings?: APIWarning[];
}

/** One answer, its envelope opened. `data` is null where the answer has no JSON (204, 304, CSV). */
export class APIResponse {
  readonly data: unknown = null;
  private readonly meta: Meta = {};

  constructor(
    readonly status: number,
    readonly headers: Headers,
    /** The body as it came. */
    readonly content: Uint8Array,
  ) {
    if (content.length === 0 || !isJson(headers)) return;
    const body = parsed(content);
    // A JSON document without the envelope (openapi.json) is the data itself.
    const isEnvelope = isObject(body) && isObject(body["meta"]) && ("data" in body || "error" in body);
    this.data = isEnvelope ? (body["data"] ?? null) : (body ?? null);
    if (isEnvelope) this.meta = body["meta"] as Meta;
  }

  get requestId(): string | null {
    return this.headers.get(names.requestId) ?? this.meta.requestId ?? null;
  }

  get etag(): string | null {
    return this.headers.get(names.etag);
  }

  get pagination(): Pagination | null {
    return this.meta.pagination ?? null;
  }

  get warnings(): APIWarning[] {
    return this.meta.warnings ?? [];
  }

  /** Null where the plan is unlimited or the answer was not charged. */
  get rateLimit(): RateLimit | null {
    const read = (name: string) => integer(this.headers.get(name));
    const limit = read(names.rateLimit.limit);
    const remaining = read(names.rateLimit.remaining);
    const reset = read(names.rateLimit.reset);
    if (limit === null || remaining === null || reset === null) return null;
    const resource = this.headers.get(names.rateLimit.resource);
    return { limit, remaining, reset, used: read(names.rateLimit.used), resource };
  }

  get text(): string {
    return UTF_8.decode(this.content);
  }

  /** The `error` object of the envelope; empty where something other than the API answered (a proxy's HTML). */
  get error(): ErrorBody {
    const body = isJson(this.headers) ? parsed(this.content) : undefined;
    return isObject(body) && isObject(body["error"]) ? body["error"] : {};
  }
}

/** What a call through `client.raw` gives: the answer as it came, and what the call would have given by `parse()`. */
export class RawResponse<T> extends APIResponse {
  parse(): T {
    return this.data as T;
  }
}

/** A model with the answer that brought it. */
export type WithResponse<T> = T & { readonly lastResponse: APIResponse };

/** The data of an answer, which remembers the answer without showing it: it is not enumerable. */
export function withResponse<T>(response: APIResponse): WithResponse<T> {
  const data = response.data;
  if (isObject(data)) Object.defineProperty(data, "lastResponse", { value: response });
  return data as WithResponse<T>;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isJson(headers: Headers): boolean {
  const media = (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return media === "application/json" || media.endsWith("+json");
}

/** Undefined for what is not JSON although it says so. */
function parsed(content: Uint8Array): unknown {
  try {
    return JSON.parse(UTF_8.decode(content));
  } catch {
    return undefined;
  }
}

function integer(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
