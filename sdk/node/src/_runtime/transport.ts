import type { Call } from "./call.js";
import { APIConnectionError, APITimeoutError } from "./errors.js";
import { APIResponse } from "./response.js";
import { delayBeforeRetry, pause, statusError } from "./retry.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A stream that began well, until `close` ends it. */
export interface OpenStream {
  chunks: AsyncIterable<Uint8Array>;
  close(): void;
}

/** Sends calls, again where that helps. */
export class Transport {
  constructor(private readonly fetch: Fetch) {}

  /** @throws CygniError when the last attempt failed, or the first that is final. */
  answer(call: Call): Promise<APIResponse> {
    return this.attempts(call, () => this.once(call));
  }

  /** The stream of a call; a refusal is retried and thrown as of any call. */
  stream(call: Call): Promise<OpenStream> {
    return this.attempts(call, () => this.open(call));
  }

  private async attempts<T>(call: Call, attempt: () => Promise<T>): Promise<T> {
    for (let retry = 0; ; retry++) {
      try {
        return await attempt();
      } catch (error) {
        const delay = delayBeforeRetry(call, error, retry);
        if (delay === null) throw error;
        await pause(delay, call.signal);
      }
    }
  }

  private async once(call: Call): Promise<APIResponse> {
    const line = new Line(call);
    try {
      return checked(await line.read(await this.send(call, line)));
    } finally {
      line.close();
    }
  }

  private async open(call: Call): Promise<OpenStream> {
    const line = new Line(call);
    try {
      const response = await this.send(call, line);
      if (!response.ok) checked(await line.read(response));
      return { chunks: line.chunks(response), close: () => line.close() };
    } catch (error) {
      line.close();
      throw error;
    }
  }

  private async send(call: Call, line: Line): Promise<Response> {
    const init: RequestInit = { method: call.method, headers: call.headers, signal: line.signal, redirect: "manual" };
    if (call.content !== undefined) init.body = call.content as BodyInit;
    try {
      return await this.fetch(call.url, init);
    } catch (error) {
      throw line.failure(error);
    }
  }
}

/** One connection and its clock: of a stream it starts anew with each piece, of all else it covers the whole answer. */
class Line {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isLate = false;
  private isRead = false;
  private readonly stop = () => this.controller.abort(this.call.signal?.reason);

  constructor(private readonly call: Call) {
    call.signal?.throwIfAborted();
    call.signal?.addEventListener("abort", this.stop, { once: true });
    this.wind();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  async read(response: Response): Promise<APIResponse> {
    try {
      const content = new Uint8Array(await response.arrayBuffer());
      // A browser hides where a redirect leads, and its status.
      const status = response.type === "opaqueredirect" ? 302 : response.status;
      this.isRead = true;
      return new APIResponse(status, response.headers, content);
    } catch (error) {
      throw this.failure(error);
    }
  }

  async *chunks(response: Response): AsyncGenerator<Uint8Array, void, void> {
    const reader = response.body?.getReader();
    // Not every fetch that a client may be given ends the body with the signal.
    this.signal.addEventListener("abort", () => reader?.cancel().catch(() => {}), { once: true });
    try {
      while (reader !== undefined) {
        this.wind();
        const { done, value } = await reader.read();
        this.signal.throwIfAborted();
        if (done) break;
        yield value;
      }
    } catch (error) {
      throw this.failure(error);
    } finally {
      this.close();
    }
  }

  /** Our error for one of fetch's; the caller's own reason where the caller stopped it. */
  failure(error: unknown): unknown {
    if (this.call.signal?.aborted) return this.call.signal.reason;
    const server = new URL(this.call.url).origin;
    if (this.isLate) return new APITimeoutError(`${server} did not answer within ${this.call.timeout} s.`);
    return new APIConnectionError(`${server} did not answer: ${reasonOf(error)}`, { cause: error });
  }

  close(): void {
    clearTimeout(this.timer);
    this.call.signal?.removeEventListener("abort", this.stop);
    // What has been read is closed already, and an abort makes an error that nobody sees.
    if (!this.isRead) this.controller.abort();
  }

  private wind(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.isLate = true;
      this.controller.abort();
    }, this.call.timeout * 1000);
  }
}

function checked(response: APIResponse): APIResponse {
  if ((response.status >= 200 && response.status < 300) || response.status === 304) return response;
  throw statusError(response);
}

/** `fetch failed` says nothing; its cause does, and of OpenSSL's the reason, without places in its sources. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  if ("reason" in cause && typeof cause.reason === "string") return cause.reason;
  const code = "code" in cause ? String(cause.code) : "";
  return cause.message || code || cause.name;
}
