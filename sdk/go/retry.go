package cygni

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// delayBeforeRetry says how long to wait before the next attempt; false if there should be none. retry counts from 0.
func delayBeforeRetry(made *call, err error, retry int) (time.Duration, bool) {
	var refused *Error
	if !errors.As(err, &refused) {
		return backoff(retry), true
	}
	switch {
	case !isRetried(made, refused):
		return 0, false
	case !refused.hasRetryAfter:
		return backoff(retry), true
	default:
		return refused.RetryAfter, refused.RetryAfter <= maxRetryAfter
	}
}

// backoff is full jitter: clients that failed together do not come back together.
func backoff(retry int) time.Duration {
	ceiling := min(maxDelay, firstDelay<<min(retry, 16))
	return rand.N(ceiling + 1)
}

func isRetried(made *call, refused *Error) bool {
	switch refused.LastResponse.Header.Get(adviceHeader) {
	case "true":
		return true
	case "false":
		return false
	}
	if repeatableStatuses[refused.Status] {
		return repeatableMethods[made.method] || made.header.Get(idempotencyKeyHeader) != ""
	}
	return retriedStatuses[refused.Status] || retriedCodes[refused.Status][refused.Code]
}

func statusError(response *Response) *Error {
	refused := errorBody(response)
	refused.Status = response.Status
	refused.LastResponse = response
	refused.RequestID = response.RequestID()
	refused.RetryAfter, refused.hasRetryAfter = retryAfter(response.Header)
	if response.Status >= 300 && response.Status < 400 && refused.Code == "" {
		to := response.Header.Get("Location")
		if to == "" {
			to = "nowhere"
		}
		refused.Code = "redirected"
		refused.Message = fmt.Sprintf("The API redirects to %s, where the key is not sent.", to)
	}
	if refused.Code == "" {
		refused.Code = "http_" + strconv.Itoa(response.Status)
	}
	if refused.Message == "" {
		refused.Message = fmt.Sprintf("The API answered with status %d.", response.Status)
	}
	return &refused
}

// retryAfter reads either form of RFC 9110 section 10.2.3.
func retryAfter(header http.Header) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get(retryAfterHeader))
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(0, time.Until(at)), true
}
