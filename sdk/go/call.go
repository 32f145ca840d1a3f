package cygni

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"
)

// call is one request, the same at every attempt: its idempotency key is made once.
type call struct {
	method     string
	url        string
	header     http.Header
	body       []byte
	timeout    time.Duration
	maxRetries int
	isStream   bool
}

// callBuilder turns the arguments of a method into a call, with the client's URL, key and defaults.
type callBuilder struct {
	baseURL string
	header  http.Header
	call    callSettings
}

// RequestParams are what [Client.Request] sends along.
type RequestParams struct {
	Query url.Values
	// Body is sent as JSON; nil sends none.
	Body any
	// Content is sent as it is, instead of Body.
	Content []byte
}

func newCallBuilder(to target, settings clientSettings) *callBuilder {
	goVersion := "go/" + strings.TrimPrefix(runtime.Version(), "go")
	// A map of strings always has a JSON form.
	client, _ := json.Marshal(map[string]string{"name": settings.clientName, "sdk": sdkName, "runtime": goVersion})
	header := http.Header{}
	header.Set("Accept", "application/json")
	header.Set("User-Agent", fmt.Sprintf(userAgent, goVersion))
	header.Set(clientHeader, string(client))
	if to.apiKey != "" {
		header.Set("Authorization", "Bearer "+to.apiKey)
	}
	return &callBuilder{baseURL: to.baseURL, header: header, call: settings.call}
}

func (b *callBuilder) build(method string, to route, params RequestParams, options []CallOption) (*call, error) {
	settings := b.call
	for _, option := range options {
		option.applyToCall(&settings)
	}
	if to.err != nil {
		return nil, to.err
	}
	address, err := b.url(to.path, params.Query)
	if err != nil {
		return nil, err
	}
	made := &call{
		method:     strings.ToUpper(method),
		url:        address,
		header:     b.header.Clone(),
		body:       params.Content,
		timeout:    settings.timeout,
		maxRetries: settings.maxRetries,
	}
	if params.Body != nil {
		if made.body, err = encodeBody(params.Body); err != nil {
			return nil, err
		}
		made.header.Set("Content-Type", "application/json")
	}
	if settings.idempotencyKey == "" && keyedMethods[made.method] {
		settings.idempotencyKey = newUUID()
	}
	for name, value := range map[string]string{
		idempotencyKeyHeader: settings.idempotencyKey,
		ifMatchHeader:        settings.ifMatch,
		"If-None-Match":      settings.ifNoneMatch,
		lastEventIDHeader:    settings.lastEventID,
	} {
		if value != "" {
			made.header.Set(name, value)
		}
	}
	for name, values := range settings.header {
		made.header[name] = values
	}
	return made, nil
}

// url refuses a path that is not one: a URL found in an answer must not receive the key.
func (b *callBuilder) url(path string, query url.Values) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("cygni: %q is not a path of the API; it looks like /v1/projects", path)
	}
	// The documentation writes routes with /v1; the base URL ends in it.
	if strings.HasSuffix(b.baseURL, "/v1") && (path == "/v1" || strings.HasPrefix(path, "/v1/")) {
		path = strings.TrimPrefix(path, "/v1")
	}
	// Joined as text, never resolved: no path can lead to another origin.
	address := b.baseURL + path
	if encoded := query.Encode(); encoded != "" {
		address += "?" + encoded
	}
	return address, nil
}

// encodeBody is JSON without the escapes that only HTML needs.
func encodeBody(body any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return nil, fmt.Errorf("cygni: the body has no JSON form: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// newUUID is a random one, RFC 9562 version 4.
func newUUID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err) // a system without random numbers cannot make a TLS connection either
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
