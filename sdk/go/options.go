package cygni

import (
	"net/http"
	"time"
)

// ClientOption is for [NewClient].
type ClientOption interface{ applyToClient(*clientSettings) }

// CallOption is for one call.
type CallOption interface{ applyToCall(*callSettings) }

// Option is for [NewClient], and for one call, where it goes before the client's.
type Option interface {
	ClientOption
	CallOption
}

type clientSettings struct {
	apiKey     *string
	baseURL    string
	httpClient *http.Client
	clientName string
	call       callSettings
}

type callSettings struct {
	timeout        time.Duration
	maxRetries     int
	header         http.Header
	idempotencyKey string
	ifMatch        string
	ifNoneMatch    string
	lastEventID    string
}

type clientOption func(*clientSettings)

func (o clientOption) applyToClient(settings *clientSettings) { o(settings) }

type callOption func(*callSettings)

func (o callOption) applyToCall(settings *callSettings) { o(settings) }

type option func(*callSettings)

func (o option) applyToClient(settings *clientSettings) { o(&settings.call) }
func (o option) applyToCall(settings *callSettings)     { o(settings) }

// WithAPIKey is the key, else CYGNI_API_KEY, else what `cygni login` kept; "" sends none, for public routes.
func WithAPIKey(key string) ClientOption {
	return clientOption(func(s *clientSettings) { s.apiKey = &key })
}

// WithBaseURL is where the API is, else CYGNI_API_URL, else the login's (only with its key), else the hosted API.
func WithBaseURL(url string) ClientOption {
	return clientOption(func(s *clientSettings) { s.baseURL = url })
}

// WithHTTPClient sends with the transport of this client, for proxies and tests. Its timeout and its handling of
// redirects are not used: calls have their own timeout, and the key belongs to one origin.
func WithHTTPClient(client *http.Client) ClientOption {
	return clientOption(func(s *clientSettings) { s.httpClient = client })
}

// WithClientName is what the server records as the origin of a change.
func WithClientName(name string) ClientOption {
	return clientOption(func(s *clientSettings) { s.clientName = name })
}

// WithTimeout is how long one attempt may take.
func WithTimeout(timeout time.Duration) Option {
	return option(func(s *callSettings) { s.timeout = timeout })
}

// WithMaxRetries is how often a call is tried again.
func WithMaxRetries(count int) Option {
	return option(func(s *callSettings) { s.maxRetries = count })
}

// WithHeader adds a header; it goes before one of the SDK's own.
func WithHeader(name, value string) Option {
	return option(func(s *callSettings) {
		s.header = s.header.Clone()
		if s.header == nil {
			s.header = http.Header{}
		}
		s.header.Set(name, value)
	})
}

// WithIdempotencyKey is the key of this call. Without it each POST gets one of its own, the same at each attempt.
func WithIdempotencyKey(key string) CallOption {
	return callOption(func(s *callSettings) { s.idempotencyKey = key })
}

// WithIfMatch changes only what still has this ETag; else the answer is an [*Error] with code precondition_failed.
func WithIfMatch(etag string) CallOption {
	return callOption(func(s *callSettings) { s.ifMatch = etag })
}

// WithIfNoneMatch asks only for what no longer has this ETag; else the answer has status 304 and no data.
func WithIfNoneMatch(etag string) CallOption {
	return callOption(func(s *callSettings) { s.ifNoneMatch = etag })
}

// WithLastEventID begins a stream after this event.
func WithLastEventID(id string) CallOption {
	return callOption(func(s *callSettings) { s.lastEventID = id })
}
