package cygni

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const lookInterval = time.Second

// WaitUntil is what [DeploymentsService.Wait] waits for.
type WaitUntil string

const (
	// WaitUntilSuccess is for whom any other end is an error; it is the default.
	WaitUntilSuccess WaitUntil = "success"
	// WaitUntilFinished is any end.
	WaitUntilFinished WaitUntil = "finished"
)

// WaitParams say what to wait for, and how long; a zero Timeout has no end but the context's.
type WaitParams struct {
	Until   WaitUntil
	Timeout time.Duration
}

// DeploymentFailedError is a deployment that ended otherwise than with success.
type DeploymentFailedError struct{ Deployment *Deployment }

func (e *DeploymentFailedError) Error() string {
	text := fmt.Sprintf("cygni: deployment %s ended as %s", e.Deployment.ID, e.Deployment.Status)
	if failure := e.Deployment.Failure; failure != nil {
		text += fmt.Sprintf(": %s: %s", failure.Code, failure.Message)
	}
	return text
}

// WaitTimeoutError is a deployment that did not end in time; it goes on.
type WaitTimeoutError struct{ Deployment *Deployment }

func (e *WaitTimeoutError) Error() string {
	return fmt.Sprintf("cygni: deployment %s is still %s", e.Deployment.ID, e.Deployment.Status)
}

// Timeout tells that this is a timeout, as net.Error does.
func (e *WaitTimeoutError) Timeout() bool { return true }

// Wait looks at a deployment until it has ended, and returns it. Looks that find nothing new are not charged. It
// returns a [*DeploymentFailedError] unless the end is a success or any end will do, a [*WaitTimeoutError] where the
// time is over.
func (s *DeploymentsService) Wait(
	ctx context.Context, deploymentID string, params WaitParams, options ...CallOption,
) (*Deployment, error) {
	var deployment *Deployment
	var etag string
	began := time.Now()
	for {
		seen, err := s.Get(ctx, deploymentID, append(options[:len(options):len(options)], WithIfNoneMatch(etag))...)
		if err != nil {
			return nil, err
		}
		if deployment == nil || seen.LastResponse.Status != http.StatusNotModified {
			deployment = seen
			etag = seen.LastResponse.ETag()
		}
		if deployment.FinishedAt != nil {
			if params.Until != WaitUntilFinished && deployment.Status != DeploymentStatusSuccess {
				return nil, &DeploymentFailedError{deployment}
			}
			return deployment, nil
		}
		pause := lookInterval
		if params.Timeout > 0 {
			pause = min(pause, params.Timeout-time.Since(began))
		}
		if !sleep(ctx, pause) {
			return nil, canceled(ctx)
		}
		if params.Timeout > 0 && time.Since(began) >= params.Timeout {
			return nil, &WaitTimeoutError{deployment}
		}
	}
}
