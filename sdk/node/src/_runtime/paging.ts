import type { APIResponse, Pagination } from "./response.js";

export interface PageQuery {
  page?: number | null | undefined;
  cursor?: string | null | undefined;
  [name: string]: unknown;
}

type FetchPage = (query: PageQuery) => Promise<APIResponse>;

/** One page of a list, from which the next ones can be had. Iterating goes on over all items that follow. */
export class Page<T> implements AsyncIterable<T> {
  readonly items: T[];
  readonly pagination: Pagination | null;

  constructor(
    readonly lastResponse: APIResponse,
    private readonly query: PageQuery,
    private readonly fetchPage: FetchPage,
  ) {
    this.items = (lastResponse.data as T[] | null) ?? [];
    this.pagination = lastResponse.pagination;
  }

  /** The page after this one, null at the end. */
  async nextPage(): Promise<Page<T> | null> {
    const query = this.nextQuery();
    return query && new Page<T>(await this.fetchPage(query), query, this.fetchPage);
  }

  /** This page and all that follow. */
  async *pages(): AsyncGenerator<Page<T>, void, void> {
    for (let page: Page<T> | null = this; page !== null; page = await page.nextPage()) yield page;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for await (const page of this.pages()) yield* page.items;
  }

  /** Who asked by `page` goes on by page; all others by cursor, which neither skips nor repeats when rows move. */
  private nextQuery(): PageQuery | null {
    const { pagination, query } = this;
    if (!pagination?.hasMore) return null;
    if (query.page != null && pagination.page !== null) return { ...query, page: pagination.page + 1 };
    return pagination.nextCursor === null ? null : { ...query, page: undefined, cursor: pagination.nextCursor };
  }
}

/**
 * A list, asked for when it is used: await it for its first page, or iterate with `for await` over all its items.
 * Each use asks anew.
 */
export class List<T> implements Promise<Page<T>>, AsyncIterable<T> {
  readonly [Symbol.toStringTag] = "List";

  constructor(
    private readonly query: PageQuery,
    private readonly fetchPage: FetchPage,
  ) {}

  // biome-ignore lint/suspicious/noThenProperty: to be awaited is what it is for
  then<A = Page<T>, B = never>(
    done?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.first().then(done, failed);
  }

  catch<B = never>(failed?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<Page<T> | B> {
    return this.first().catch(failed);
  }

  finally(after?: (() => void) | null): Promise<Page<T>> {
    return this.first().finally(after);
  }

  async *pages(): AsyncGenerator<Page<T>, void, void> {
    yield* (await this.first()).pages();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    yield* await this.first();
  }

  private async first(): Promise<Page<T>> {
    return new Page<T>(await this.fetchPage(this.query), this.query, this.fetchPage);
  }
}
