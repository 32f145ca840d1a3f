import type { CallBuilder, CallSpec, RequestOptions, StreamOptions } from "./call.js";
import { List, type PageQuery } from "./paging.js";
import { type APIResponse, RawResponse, type WithResponse, withResponse } from "./response.js";
import { Stream } from "./stream.js";
import type { Transport } from "./transport.js";

/** How a resource's methods reach the API; there is one that gives models, and one that gives raw answers. */
export interface Caller {
  call<T>(spec: CallSpec, options?: RequestOptions): Promise<WithResponse<T>>;
  callForNothing(spec: CallSpec, options?: RequestOptions): Promise<void>;
  list<T>(spec: CallSpec, options?: RequestOptions): List<T>;
  stream<T>(spec: CallSpec, options?: StreamOptions): Stream<T>;
  bytes(spec: CallSpec, options?: RequestOptions): AsyncGenerator<Uint8Array, void, void>;
}

/** The methods of one noun. */
export abstract class Resource {
  /** @internal */
  constructor(protected readonly caller: Caller) {}
}

export class ModelCaller implements Caller {
  constructor(
    private readonly calls: CallBuilder,
    private readonly transport: Transport,
  ) {}

  answer(spec: CallSpec, options?: RequestOptions): Promise<APIResponse> {
    return this.transport.answer(this.calls.build(spec, options));
  }

  async call<T>(spec: CallSpec, options?: RequestOptions): Promise<WithResponse<T>> {
    return withResponse<T>(await this.answer(spec, options));
  }

  async callForNothing(spec: CallSpec, options?: RequestOptions): Promise<void> {
    await this.answer(spec, options);
  }

  list<T>(spec: CallSpec, options?: RequestOptions): List<T> {
    return new List<T>({ ...spec.query }, (query: PageQuery) => this.answer({ ...spec, query }, options));
  }

  stream<T>(spec: CallSpec, options?: StreamOptions): Stream<T> {
    return new Stream<T>(this.transport, this.calls, spec, options);
  }

  /** The body as it comes; who stops iterating ends the connection. */
  async *bytes(spec: CallSpec, options?: RequestOptions): AsyncGenerator<Uint8Array, void, void> {
    const line = await this.transport.stream(this.calls.build(spec, options, true, "*/*"));
    try {
      yield* line.chunks;
    } finally {
      line.close();
    }
  }
}

/** Gives every answer as it came. What it returns is typed by RawClient, which says so to the caller. */
export class RawCaller implements Caller {
  constructor(private readonly models: ModelCaller) {}

  call<T>(spec: CallSpec, options?: RequestOptions): Promise<WithResponse<T>> {
    return this.raw<T>(spec, options) as unknown as Promise<WithResponse<T>>;
  }

  callForNothing(spec: CallSpec, options?: RequestOptions): Promise<void> {
    return this.raw<void>(spec, options) as unknown as Promise<void>;
  }

  list<T>(spec: CallSpec, options?: RequestOptions): List<T> {
    return this.raw<T[]>(spec, options) as unknown as List<T>;
  }

  stream<T>(spec: CallSpec, options?: StreamOptions): Stream<T> {
    return this.models.stream<T>(spec, options);
  }

  bytes(spec: CallSpec, options?: RequestOptions): AsyncGenerator<Uint8Array, void, void> {
    return this.models.bytes(spec, options);
  }

  private async raw<T>(spec: CallSpec, options?: RequestOptions): Promise<RawResponse<T>> {
    const { status, headers, content } = await this.models.answer(spec, options);
    return new RawResponse<T>(status, headers, content);
  }
}

type Returned<R> =
  R extends List<infer T>
    ? Promise<RawResponse<T[]>>
    : R extends Stream<infer T>
      ? Stream<T>
      : R extends Promise<infer T>
        ? Promise<RawResponse<T extends WithResponse<infer M> ? M : T>>
        : R;

/** The same methods, each answering with a RawResponse. */
export type Raw<R> = {
  [K in keyof R]: R[K] extends (...args: infer A) => infer T ? (...args: A) => Returned<T> : R[K];
};
