// Package webhooks tells whether a request is a webhook of Cygni, and what it says. It follows Standard Webhooks 1.0.0.
package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// VerificationError says why a request is not believed.
type VerificationError struct{ Message string }

func (e *VerificationError) Error() string { return "cygni: the webhook is not believed: " + e.Message }

// Event is what a webhook says.
type Event struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`

	// Body is the model of this type of event; nil where this version does not know it.
	Body any `json:"-"`
	// Raw is the whole body.
	Raw json.RawMessage `json:"-"`
}

// Option changes how a webhook is checked.
type Option func(*settings)

type settings struct{ tolerance time.Duration }

// WithTolerance is how far the webhook's clock may be from this one's, in either direction.
func WithTolerance(tolerance time.Duration) Option {
	return func(s *settings) { s.tolerance = tolerance }
}

// Verify checks a webhook's signature and time. body is what came, to the byte; secret is the webhook's, with or
// without whsec_. It returns a [*VerificationError].
func Verify(body []byte, header http.Header, secret string, options ...Option) error {
	checked := settings{tolerance: defaultTolerance}
	for _, option := range options {
		option(&checked)
	}
	id, timestamp, signatures := header.Get(idHeader), header.Get(timestampHeader), header.Get(signatureHeader)
	if id == "" || timestamp == "" || signatures == "" {
		return &VerificationError{fmt.Sprintf("%s, %s or %s is missing", idHeader, timestampHeader, signatureHeader)}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return &VerificationError{timestampHeader + " is no number of seconds"}
	}
	if apart := time.Since(time.Unix(seconds, 0)).Abs(); apart > checked.tolerance {
		return &VerificationError{"it is too old, or from the future"}
	}
	key, err := signingKey(secret)
	if err != nil {
		return err
	}
	sum := hmac.New(sha256.New, key)
	fmt.Fprintf(sum, "%s.%s.", id, timestamp)
	sum.Write(body)
	expected := sum.Sum(nil)
	for _, signature := range strings.Fields(signatures) {
		version, encoded, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && subtle.ConstantTimeCompare(given, expected) == 1 {
			return nil
		}
	}
	return &VerificationError{"no signature is of this secret"}
}

// Unwrap checks as [Verify] does and returns what the webhook says. It returns a [*VerificationError].
func Unwrap(body []byte, header http.Header, secret string, options ...Option) (*Event, error) {
	if err := Verify(body, header, secret, options...); err != nil {
		return nil, err
	}
	event := &Event{Raw: append(json.RawMessage(nil), body...)}
	if err := json.Unmarshal(body, event); err != nil || event.Type == "" {
		return nil, &VerificationError{"its body is no event"}
	}
	if known, ok := bodies[event.Type]; ok {
		event.Body = known()
		if err := json.Unmarshal(body, event.Body); err != nil {
			return nil, &VerificationError{fmt.Sprintf("its body is no %s: %v", event.Type, err)}
		}
	}
	return event, nil
}

func signingKey(secret string) ([]byte, error) {
	encoded, isEncoded := strings.CutPrefix(secret, "whsec_")
	if !isEncoded {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, &VerificationError{"the secret is none: what follows whsec_ must be base64"}
	}
	return key, nil
}
