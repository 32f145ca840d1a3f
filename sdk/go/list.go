package cygni

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"strconv"
)

// List is a list of any length. Nothing is asked before one of its methods is used, and each use asks anew.
type List[T any] struct {
	core    *core
	ctx     context.Context
	to      route
	query   url.Values
	options []CallOption
}

// Page is one page of a list.
type Page[T any] struct {
	Items        []*T
	Pagination   Pagination
	LastResponse *Response

	list  *List[T]
	query url.Values
}

func newList[T any](ctx context.Context, core *core, to route, query url.Values, options []CallOption) *List[T] {
	return &List[T]{core, ctx, to, query, options}
}

// All iterates over all items and fetches the pages as it reaches them. An error is the last thing that it yields.
func (l *List[T]) All() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for page, err := range l.Pages() {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Pages iterates over the pages. An error is the last thing that it yields.
func (l *List[T]) Pages() iter.Seq2[*Page[T], error] {
	return func(yield func(*Page[T], error) bool) {
		page, err := l.Page()
		for yield(page, err) && err == nil && page.HasNext() {
			page, err = page.Next(l.ctx)
		}
	}
}

// Page fetches the first page, or the one that the parameters name.
func (l *List[T]) Page() (*Page[T], error) { return l.fetch(l.ctx, l.query) }

// HasNext tells whether there is a page after this one.
func (p *Page[T]) HasNext() bool { return p.nextQuery() != nil }

// Next fetches the page after this one; nil at the end.
func (p *Page[T]) Next(ctx context.Context) (*Page[T], error) {
	query := p.nextQuery()
	if query == nil {
		return nil, nil
	}
	return p.list.fetch(ctx, query)
}

// nextQuery goes on by page for who asked by page, and by cursor for all others, which neither skips nor repeats when
// rows move.
func (p *Page[T]) nextQuery() url.Values {
	if !p.Pagination.HasMore {
		return nil
	}
	next := url.Values{}
	for name, values := range p.query {
		next[name] = values
	}
	switch {
	case p.query.Has("page") && p.Pagination.Page != nil:
		next.Set("page", strconv.Itoa(*p.Pagination.Page+1))
	case p.Pagination.NextCursor != nil:
		next.Del("page")
		next.Set("cursor", *p.Pagination.NextCursor)
	default:
		return nil
	}
	return next
}

func (l *List[T]) fetch(ctx context.Context, query url.Values) (*Page[T], error) {
	response, err := l.core.request(ctx, "GET", l.to, RequestParams{Query: query}, l.options)
	if err != nil {
		return nil, err
	}
	page := &Page[T]{LastResponse: response, list: l, query: query}
	if response.Meta.Pagination != nil {
		page.Pagination = *response.Meta.Pagination
	}
	if response.Data != nil {
		if err := json.Unmarshal(response.Data, &page.Items); err != nil {
			return nil, unreadable(response, err)
		}
	}
	return page, nil
}
