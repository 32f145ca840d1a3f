import { BEHAVIOR } from "../behavior.js";
import { CallBuilder, type CallSpec, type Query, type RequestOptions } from "./call.js";
import { resolve } from "./config.js";
import { ModelCaller, RawCaller } from "./resource.js";
import type { APIResponse } from "./response.js";
import { type Fetch, Transport } from "./transport.js";

export interface ClientOptions {
  /** Else CYGNI_API_KEY, else what `cygni login` kept; "" sends none, for public routes. */
  apiKey?: string | undefined;
  /** Else CYGNI_API_URL, else the login's (only with its key), else the hosted API. */
  baseUrl?: string | undefined;
  /** 2 unless given. */
  maxRetries?: number | undefined;
  /** Seconds for a call, 60 unless given. */
  timeout?: number | undefined;
  /** Instead of the runtime's own, for proxies and tests. */
  fetch?: Fetch | undefined;
  /** What the server records as the origin of a change. */
  clientName?: string | undefined;
}

export interface AnyRequest extends RequestOptions {
  query?: Query | undefined;
  /** Sent as JSON. */
  body?: unknown;
  content?: Uint8Array | undefined;
}

/** What every client can do, whatever nouns there are. Holds no connection: there is nothing to close. */
export class BaseClient {
  readonly baseUrl: string;
  protected readonly caller: ModelCaller;
  protected readonly rawCaller: RawCaller;

  /** @throws ConfigurationError without a key or with a URL that is none */
  constructor(options: ClientOptions = {}) {
    const target = resolve(options.apiKey, options.baseUrl);
    const calls = new CallBuilder(target, {
      maxRetries: options.maxRetries ?? BEHAVIOR.retries.max,
      timeout: options.timeout ?? BEHAVIOR.timeouts.callSeconds,
      clientName: options.clientName ?? "sdk-node",
    });
    const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.baseUrl = calls.baseUrl;
    this.caller = new ModelCaller(calls, new Transport(fetch));
    this.rawCaller = new RawCaller(this.caller);
  }

  /**
   * Call any route, with all the retries. `path` is as documented: /v1/projects.
   * @throws APIStatusError for an answer that is an error (the class tells which), APIConnectionError without an answer
   */
  async request(method: string, path: string, request: AnyRequest = {}): Promise<APIResponse> {
    const { query, body, content, ...options } = request;
    const spec: CallSpec = { method, path, query, body, content };
    return await this.caller.answer(spec, options);
  }
}
