package cygni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Stream is a stream of server-sent events over as many connections as it takes. A broken line, or one without a
// heartbeat, is opened again after the last event seen. Nothing is asked before it is iterated over; leaving the loop
// closes the connection, and another loop goes on after the last event seen.
type Stream[T any] struct {
	core *core
	ctx  context.Context
	made *call
	err  error
	name string

	lastEventID string
	end         *StreamEnd
}

func newStream[T any](
	ctx context.Context, core *core, to route, params RequestParams, name string, options []CallOption,
) *Stream[T] {
	heartbeat := callOption(func(s *callSettings) { s.timeout = heartbeatTimeout })
	made, err := core.calls.build("GET", to, params, append([]CallOption{heartbeat}, options...))
	stream := &Stream[T]{core: core, ctx: ctx, made: made, err: err, name: name}
	if err == nil {
		made.isStream = true
		made.header.Set("Accept", "text/event-stream")
		stream.lastEventID = made.header.Get(lastEventIDHeader)
	}
	return stream
}

// End is why the server ended the stream; nil before it did.
func (s *Stream[T]) End() *StreamEnd { return s.end }

// LastEventID is where the stream would go on.
func (s *Stream[T]) LastEventID() string { return s.lastEventID }

// All iterates over what the events are about, without gaps and events that this version does not know. An error is
// the last thing that it yields.
func (s *Stream[T]) All() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for event, err := range s.Events() {
			if err != nil {
				yield(nil, err)
				return
			}
			if event.Event == "gap" || (s.name != "" && event.Event != s.name) {
				continue
			}
			item := new(T)
			if err := json.Unmarshal(event.Data, item); err != nil {
				yield(nil, fmt.Errorf("cygni: event %s cannot be read: %w", event.ID, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Events iterates over the events themselves. An error is the last thing that it yields.
func (s *Stream[T]) Events() iter.Seq2[*StreamEvent, error] {
	return func(yield func(*StreamEvent, error) bool) {
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		for failures := 0; s.end == nil; {
			_, body, err := s.core.attempts(s.ctx, s.resumed())
			if err != nil {
				yield(nil, err)
				return
			}
			seen, wanted, err := s.read(body, yield)
			body.Close()
			if s.end != nil || !wanted {
				return
			}
			if seen {
				failures = 0
			}
			failures++
			var broken *ConnectionError
			if !errors.As(err, &broken) || failures > s.made.maxRetries || s.ctx.Err() != nil {
				yield(nil, err)
				return
			}
			if !sleep(s.ctx, backoff(failures-1)) {
				yield(nil, canceled(s.ctx))
				return
			}
		}
	}
}

func (s *Stream[T]) resumed() *call {
	next := *s.made
	next.header = s.made.header.Clone()
	if s.lastEventID != "" {
		next.header.Set(lastEventIDHeader, s.lastEventID)
	}
	return &next
}

// read passes the events of one connection on, until the end, an error, or whoever iterates has had enough.
func (s *Stream[T]) read(body io.Reader, yield func(*StreamEvent, error) bool) (seen, wanted bool, err error) {
	var parser eventParser
	wanted = true
	visit := func(event *StreamEvent, id *string) {
		if !wanted || s.end != nil || err != nil {
			return
		}
		if id != nil {
			s.lastEventID = *id
		}
		switch {
		case event == nil:
		case !json.Valid(event.Data):
			err = fmt.Errorf("cygni: event %s cannot be read: it is no JSON", event.ID)
		case event.Event == "end":
			end := StreamEnd{Reason: "finished"}
			_ = json.Unmarshal(event.Data, &end) // an end that says no reason is one all the same
			s.end = &end
		default:
			seen = true
			wanted = yield(event, nil)
		}
	}
	buffer := make([]byte, 32*1024)
	for {
		count, failure := body.Read(buffer)
		parser.feed(buffer[:count], visit)
		switch {
		case !wanted || s.end != nil || err != nil:
			return seen, wanted, err
		case failure == io.EOF:
			return seen, true, &ConnectionError{fmt.Sprintf("The stream of %s broke off.", origin(s.made)), io.ErrUnexpectedEOF}
		case failure != nil:
			return seen, true, failure
		}
	}
}
