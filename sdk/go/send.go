package cygni

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// core is what all services share.
type core struct {
	calls *callBuilder
	http  *http.Client
}

func newCore(options []ClientOption) (*core, error) {
	settings := clientSettings{
		clientName: clientName,
		call:       callSettings{timeout: defaultTimeout, maxRetries: defaultMaxRetries},
	}
	for _, option := range options {
		option.applyToClient(&settings)
	}
	to, err := resolveTarget(settings.apiKey, settings.baseURL)
	if err != nil {
		return nil, err
	}
	return &core{calls: newCallBuilder(to, settings), http: newHTTPClient(settings.httpClient)}, nil
}

func newHTTPClient(given *http.Client) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
		client.Timeout = 0
	}
	if client.Transport == nil {
		client.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout:   connectTimeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       60 * time.Second,
			ExpectContinueTimeout: time.Second,
		}
	}
	// A redirect is never followed: the key belongs to one origin.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// request sends a call until it succeeds, fails for good, or has been tried often enough.
func (c *core) request(
	ctx context.Context, method string, to route, params RequestParams, options []CallOption,
) (*Response, error) {
	made, err := c.calls.build(method, to, params, options)
	if err != nil {
		return nil, err
	}
	response, _, err := c.attempts(ctx, made)
	return response, err
}

// attempts returns the response, and its body where the call opened a stream.
func (c *core) attempts(ctx context.Context, made *call) (*Response, io.ReadCloser, error) {
	for retry := 0; ; retry++ {
		response, stream, err := c.attempt(ctx, made)
		if err == nil {
			return response, stream, nil
		}
		if ctx.Err() != nil || retry >= made.maxRetries {
			return nil, nil, err
		}
		delay, again := delayBeforeRetry(made, err, retry)
		if !again {
			return nil, nil, err
		}
		if !sleep(ctx, delay) {
			return nil, nil, canceled(ctx)
		}
	}
}

func (c *core) attempt(ctx context.Context, made *call) (*Response, io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	silence := time.AfterFunc(made.timeout, func() { cancel(errTimeout) })
	end := func() {
		silence.Stop()
		cancel(nil)
	}
	request, err := http.NewRequestWithContext(ctx, made.method, made.url, nil)
	if err != nil {
		end()
		return nil, nil, &ConnectionError{fmt.Sprintf("%s cannot be asked: %v.", made.url, err), err}
	}
	request.Header = made.header
	if made.body != nil {
		// Without GetBody the transport does not repeat by itself: repeating is decided here.
		request.Body = io.NopCloser(bytes.NewReader(made.body))
		request.ContentLength = int64(len(made.body))
	}
	answer, err := c.http.Do(request)
	if err != nil {
		err = connectionError(ctx, made, err)
		end()
		return nil, nil, err
	}
	success := answer.StatusCode < 300 || answer.StatusCode == http.StatusNotModified
	if made.isStream && success {
		body := &watchedBody{body: answer.Body, silence: silence, timeout: made.timeout, end: end, ctx: ctx, made: made}
		return &Response{Status: answer.StatusCode, Header: answer.Header}, body, nil
	}
	defer end()
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, connectionError(ctx, made, err)
	}
	response := openEnvelope(answer.StatusCode, answer.Header, content)
	if !success {
		return nil, nil, statusError(response)
	}
	return response, nil, nil
}

var errTimeout = errors.New("no answer in time")

func connectionError(ctx context.Context, made *call, err error) error {
	// What url.Error adds is the URL, whose query is nobody's business in a log.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var network net.Error
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		return &TimeoutError{&ConnectionError{fmt.Sprintf("%s did not answer in time.", origin(made)), context.DeadlineExceeded}}
	} else if cause != nil {
		return canceled(ctx)
	}
	if errors.As(err, &network) && network.Timeout() {
		return &TimeoutError{&ConnectionError{fmt.Sprintf("%s did not answer in time: %v.", origin(made), err), err}}
	}
	return &ConnectionError{fmt.Sprintf("%s did not answer: %v.", origin(made), err), err}
}

// canceled is the caller's own end of the call; its deadline is a timeout as well.
func canceled(ctx context.Context) error {
	err := &ConnectionError{fmt.Sprintf("The call was given up: %v.", ctx.Err()), ctx.Err()}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &TimeoutError{err}
	}
	return err
}

func origin(made *call) string {
	address, err := url.Parse(made.url)
	if err != nil {
		return "the API"
	}
	return address.Scheme + "://" + address.Host
}

// sleep returns false if the context ended first.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watchedBody is the body of a stream: it breaks after a silence, and everything of it ends with Close.
type watchedBody struct {
	body    io.ReadCloser
	silence *time.Timer
	timeout time.Duration
	end     func()
	ctx     context.Context
	made    *call
}

// Read returns a [*ConnectionError] where the line broke, [io.EOF] at its end.
func (w *watchedBody) Read(buffer []byte) (int, error) {
	count, err := w.body.Read(buffer)
	if err != nil {
		if err != io.EOF {
			err = connectionError(w.ctx, w.made, err)
		}
		return count, err
	}
	w.silence.Reset(w.timeout)
	return count, nil
}

func (w *watchedBody) Close() error {
	w.end()
	return w.body.Close()
}

// bytes opens a stream of bytes; the caller closes it.
func (c *core) bytes(
	ctx context.Context, method string, to route, params RequestParams, options []CallOption,
) (io.ReadCloser, error) {
	made, err := c.calls.build(method, to, params, options)
	if err != nil {
		return nil, err
	}
	made.isStream = true
	made.header.Set("Accept", "*/*")
	_, body, err := c.attempts(ctx, made)
	return body, err
}
