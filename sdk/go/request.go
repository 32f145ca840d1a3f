package cygni

import "context"

// BaseURL is where calls go.
func (c *Client) BaseURL() string { return c.core.calls.baseURL }

// Request calls any route, with all the retries; path is as documented: /v1/projects. A POST gets an idempotency key
// of its own unless an option gives one. It returns an [*Error] for an answer that is an error, a [*ConnectionError]
// without an answer.
func (c *Client) Request(
	ctx context.Context, method, path string, params RequestParams, options ...CallOption,
) (*Response, error) {
	return c.core.request(ctx, method, route{path: path}, params, options)
}
