package cygni

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Response is one answer.
type Response struct {
	Status int
	Header http.Header
	// Body is what came, to the byte.
	Body []byte
	// Data is what the answer is about; nil where it has no JSON (204, 304).
	Data json.RawMessage
	Meta Meta
}

// Meta is what an answer says about itself.
type Meta struct {
	RequestID  string      `json:"requestId"`
	Timestamp  time.Time   `json:"timestamp"`
	Pagination *Pagination `json:"pagination"`
	Warnings   []Warning   `json:"warnings"`
}

// Pagination is where a page stands in its list. Page, Total and Pages are nil in cursor form.
type Pagination struct {
	Page            *int    `json:"page"`
	Limit           int     `json:"limit"`
	Total           *int    `json:"total"`
	Pages           *int    `json:"pages"`
	TotalIsEstimate bool    `json:"totalIsEstimate"`
	HasMore         bool    `json:"hasMore"`
	NextCursor      *string `json:"nextCursor"`
	PrevCursor      *string `json:"prevCursor"`
}

// Warning is what the caller should know although the call succeeded.
type Warning struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Path    *string `json:"path"`
}

// RateLimitInfo is the window with the lowest remaining share.
type RateLimitInfo struct {
	Limit     int
	Remaining int
	// Reset is when the window is full again.
	Reset    time.Time
	Used     *int
	Resource string
}

// RequestID names the call in the server's log.
func (r *Response) RequestID() string {
	if id := r.Header.Get(requestIDHeader); id != "" {
		return id
	}
	return r.Meta.RequestID
}

// ETag is for [WithIfMatch] and [WithIfNoneMatch]; empty where the answer has none.
func (r *Response) ETag() string { return r.Header.Get(etagHeader) }

// RateLimit is nil where the plan is unlimited or the answer was not charged.
func (r *Response) RateLimit() *RateLimitInfo {
	limit, remaining, reset := r.number(limitHeader), r.number(remainingHeader), r.number(resetHeader)
	if limit == nil || remaining == nil || reset == nil {
		return nil
	}
	return &RateLimitInfo{
		Limit:     *limit,
		Remaining: *remaining,
		Reset:     time.Unix(int64(*reset), 0).UTC(),
		Used:      r.number(usedHeader),
		Resource:  r.Header.Get(resourceHeader),
	}
}

// Decode puts the data into what target points to.
func (r *Response) Decode(target any) error {
	if r.Data == nil {
		return nil
	}
	return json.Unmarshal(r.Data, target)
}

func (r *Response) number(name string) *int {
	value, err := strconv.Atoi(r.Header.Get(name))
	if err != nil || value < 0 {
		return nil
	}
	return &value
}

// openEnvelope splits {data, meta}; a JSON document without that envelope becomes Data as it is.
func openEnvelope(status int, header http.Header, body []byte) *Response {
	response := &Response{Status: status, Header: header, Body: body}
	if len(body) == 0 || !isJSON(header) || !json.Valid(body) {
		return response
	}
	var envelope struct {
		Data  json.RawMessage `json:"data"`
		Error json.RawMessage `json:"error"`
		Meta  json.RawMessage `json:"meta"`
	}
	if json.Unmarshal(body, &envelope) != nil || envelope.Meta == nil || (envelope.Data == nil && envelope.Error == nil) {
		response.Data = body
		return response
	}
	// A field of meta that is not as it should be is no reason to lose the answer.
	_ = json.Unmarshal(envelope.Meta, &response.Meta)
	response.Data = envelope.Data
	return response
}

// errorBody is the `error` object; empty where something other than the API answered, such as a proxy with HTML.
func errorBody(response *Response) Error {
	var envelope struct {
		Error struct {
			Code    string         `json:"code"`
			Message string         `json:"message"`
			Hint    string         `json:"hint"`
			Details map[string]any `json:"details"`
			Errors  []FieldError   `json:"errors"`
			DocURL  string         `json:"docUrl"`
		} `json:"error"`
	}
	if isJSON(response.Header) {
		_ = json.Unmarshal(response.Body, &envelope) // what can be read of it is better than nothing
	}
	said := envelope.Error
	return Error{
		Code: said.Code, Message: said.Message, Hint: said.Hint,
		Details: said.Details, Errors: said.Errors, DocURL: said.DocURL,
	}
}

func isJSON(header http.Header) bool {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
