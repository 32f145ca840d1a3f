import { BEHAVIOR } from "../behavior.js";
import type { Call, CallBuilder, CallSpec, StreamOptions } from "./call.js";
import { APIConnectionError } from "./errors.js";
import { backoff, pause } from "./retry.js";
import { EventParser, type StreamEvent } from "./sse.js";
import type { OpenStream, Transport } from "./transport.js";

/** Why a stream ended: `finished`, `shutdown`, `unauthorized`, `tooSlow`; what ended, where it was one thing. */
export interface StreamEnd {
  reason: string;
  status: string | null;
  exitCode: number | null;
}

/**
 * Iterate to get events until the server ends the stream; then `end` says why. A broken line, or one without a
 * heartbeat for 45 s, is opened again after the last event seen.
 * @throws APIConnectionError when that does not help, APIStatusError when the API refuses
 */
export class Stream<T> implements AsyncIterable<StreamEvent<T>> {
  /** Null until the server has ended the stream. */
  end: StreamEnd | null = null;
  lastEventId: string | null;
  private readonly call: Call;
  private readonly stopping = new AbortController();
  private isClosed = false;
  private readonly events: AsyncGenerator<StreamEvent<T>, void, void>;

  constructor(
    private readonly transport: Transport,
    calls: CallBuilder,
    spec: CallSpec,
    options: StreamOptions = {},
  ) {
    const signal = this.stopping.signal;
    options.signal?.addEventListener("abort", () => this.stopping.abort(options.signal?.reason), { once: true });
    this.call = calls.build(spec, { timeout: BEHAVIOR.timeouts.heartbeatSeconds, ...options, signal }, true);
    this.lastEventId = options.lastEventId ?? null;
    this.events = this.read();
  }

  [Symbol.asyncIterator](): AsyncGenerator<StreamEvent<T>, void, void> {
    return this.events;
  }

  /** Ends the connection; whoever iterates gets no more events. */
  close(): void {
    this.isClosed = true;
    this.stopping.abort();
  }

  private async *read(): AsyncGenerator<StreamEvent<T>, void, void> {
    let failures = 0;
    let line: OpenStream | undefined;
    try {
      while (this.end === null) {
        line = await this.transport.stream(this.next());
        try {
          for await (const event of this.parsed(line)) {
            failures = 0;
            yield event;
          }
          if (this.end === null) throw new APIConnectionError(`The stream ${this.call.url} broke off.`);
        } catch (error) {
          if (!(error instanceof APIConnectionError) || ++failures > this.call.maxRetries) throw error;
          await pause(backoff(failures - 1), this.call.signal);
        }
      }
    } catch (error) {
      if (!this.isClosed) throw error;
    } finally {
      line?.close();
    }
  }

  private async *parsed(line: OpenStream): AsyncGenerator<StreamEvent<T>, void, void> {
    const parser = new EventParser<T>();
    for await (const chunk of line.chunks) {
      for (const event of parser.feed(chunk)) {
        if (event.event === "end") {
          const { reason, status, exitCode } = event.data as Partial<StreamEnd>;
          this.end = { reason: reason ?? "finished", status: status ?? null, exitCode: exitCode ?? null };
          return;
        }
        this.lastEventId = event.id ?? this.lastEventId;
        yield event;
      }
    }
  }

  private next(): Call {
    if (this.lastEventId === null) return this.call;
    return { ...this.call, headers: { ...this.call.headers, [BEHAVIOR.headers.lastEventId]: this.lastEventId } };
  }
}
