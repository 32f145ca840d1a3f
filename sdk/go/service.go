package cygni

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// route is a path with its ids in place, or why there is none.
type route struct {
	path string
	err  error
}

// at puts ids and names into the {} of a path, escaped so that each stays one segment.
func at(template string, ids ...string) route {
	for _, id := range ids {
		if id == "" || id == "." || id == ".." {
			return route{err: errors.New("cygni: \"" + id + "\" is no id and no name")}
		}
		template = strings.Replace(template, "{}", url.PathEscape(id), 1)
	}
	return route{path: template}
}

// answered is a model that is an answer of its own: it knows the response that brought it.
type answered[T any] interface {
	*T
	setLastResponse(*Response)
}

// ask makes a call and puts its answer into a new model; a zero one where the answer has no data (304).
func ask[T any, P answered[T]](
	ctx context.Context, core *core, method string, to route, params RequestParams, options []CallOption,
) (P, error) {
	response, err := core.request(ctx, method, to, params, options)
	if err != nil {
		return nil, err
	}
	model := P(new(T))
	if err := response.Decode(model); err != nil {
		return nil, unreadable(response, err)
	}
	model.setLastResponse(response)
	return model, nil
}

func unreadable(response *Response, err error) error {
	return fmt.Errorf("cygni: the answer of request %s cannot be read: %w", response.RequestID(), err)
}
