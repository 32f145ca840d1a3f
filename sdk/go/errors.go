package cygni

import (
	"fmt"
	"time"
)

// Error is an answer of the API that says no.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is stable and for programs.
	Code string
	// Message says what and why.
	Message string
	// Hint says what to do next; empty where nothing helps.
	Hint string
	// Details depend on the code.
	Details map[string]any
	// Errors are all invalid fields.
	Errors []FieldError
	// DocURL explains the code.
	DocURL string
	// RequestID names the call in the server's log.
	RequestID string
	// RetryAfter is when to ask again at the earliest; zero where the answer said nothing.
	RetryAfter time.Duration
	// LastResponse has the rest, its headers and rate limit among them.
	LastResponse *Response

	hasRetryAfter bool
}

// FieldError is one invalid field of a request.
type FieldError struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string { return fmt.Sprintf("cygni: %d %s: %s", e.Status, e.Code, e.Message) }

// ConnectionError is a call that was not answered: no route, a refused or broken connection, a canceled context. It
// wraps the reason, so errors.Is(err, context.Canceled) works.
type ConnectionError struct {
	Message string
	Err     error
}

func (e *ConnectionError) Error() string { return "cygni: " + e.Message }

// Unwrap returns the reason.
func (e *ConnectionError) Unwrap() error { return e.Err }

// TimeoutError is a call that was not answered in time. It wraps a [*ConnectionError].
type TimeoutError struct{ ConnectionError *ConnectionError }

func (e *TimeoutError) Error() string { return e.ConnectionError.Error() }

// Unwrap returns the connection error.
func (e *TimeoutError) Unwrap() error { return e.ConnectionError }

// Timeout tells that this is a timeout, as net.Error does.
func (e *TimeoutError) Timeout() bool { return true }

// ConfigurationError says why no client can be made: there is no key, or the base URL is not one.
type ConfigurationError struct{ Message string }

func (e *ConfigurationError) Error() string { return "cygni: " + e.Message }

// ArchiveError names what cannot be packed.
type ArchiveError struct{ Message string }

func (e *ArchiveError) Error() string { return "cygni: " + e.Message }
