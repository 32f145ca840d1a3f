// The driver of the conformance suite: it carries out the calls of one scenario and reports what came of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cygni/cygni-go"
	"github.com/cygni/cygni-go/webhooks"
)

type object = map[string]any

type document struct {
	Client *options
	Calls  []call
}

type options struct {
	APIKey         *string
	BaseURL        *string
	MaxRetries     *int
	Timeout        *float64
	IdempotencyKey *string
	IfMatch        *string
	LastEventID    *string
}

type call struct {
	Call    string
	IDs     []string
	Args    map[string]json.RawMessage
	Options options
	Take    string
	First   int
}

func main() {
	var told document
	if err := json.NewDecoder(os.Stdin).Decode(&told); err != nil {
		log.Fatal(err)
	}
	said := object{}
	var client *cygni.Client
	var err error
	if told.Client != nil {
		client, err = cygni.NewClient(told.Client.forClient()...)
	}
	if err != nil {
		said["client"] = object{"error": describe(err)}
	} else {
		results := []object{}
		for _, each := range told.Calls {
			results = append(results, carryOut(client, each))
		}
		said["calls"] = results
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}

func carryOut(client *cygni.Client, each call) object {
	ctx := context.Background()
	result := object{}
	err := func() error {
		switch each.Call {
		case "request":
			return request(ctx, client, each, result)
		case "webhooks.verify", "webhooks.unwrap":
			return webhook(each, result)
		case "uploads.fromDirectory":
			upload, err := client.Uploads.FromDirectory(ctx, text(each.Args["path"]), cygni.UploadParams{})
			result["value"] = upload
			return err
		case "deployments.wait":
			var params struct {
				Until   cygni.WaitUntil
				Timeout float64
			}
			params.Timeout = number(each.Args["timeout"])
			params.Until = cygni.WaitUntil(text(each.Args["until"]))
			deployment, err := client.Deployments.Wait(ctx, each.IDs[0], cygni.WaitParams{
				Until: params.Until, Timeout: seconds(params.Timeout),
			})
			result["value"] = deployment
			return err
		}
		return operate(ctx, client, each, result)
	}()
	if err != nil {
		result["error"] = describe(err)
	}
	return result
}

func request(ctx context.Context, client *cygni.Client, each call, result object) error {
	var query map[string]any
	var headers map[string]string
	decode(each.Args["query"], &query)
	decode(each.Args["headers"], &headers)
	params := cygni.RequestParams{Query: url.Values{}}
	for name, value := range query {
		encoded, _ := json.Marshal(value)
		params.Query.Set(name, strings.Trim(string(encoded), `"`))
	}
	if body, ok := each.Args["body"]; ok {
		params.Body = body
	}
	given := each.Options.forCall()
	for name, value := range headers {
		given = append(given, cygni.WithHeader(name, value))
	}
	response, err := client.Request(ctx, text(each.Args["method"]), text(each.Args["path"]), params, given...)
	if err == nil {
		result["value"], result["last"] = response.Data, last(response)
	}
	return err
}

func webhook(each call, result object) error {
	var headers map[string]string
	decode(each.Args["headers"], &headers)
	header := http.Header{}
	for name, value := range headers {
		header.Set(name, value)
	}
	var tolerance []webhooks.Option
	if value := number(each.Args["toleranceSeconds"]); value != 0 {
		// What is longer than a duration can be is as good as for ever.
		tolerance = append(tolerance, webhooks.WithTolerance(seconds(min(value, 9e9))))
	}
	body, secret := []byte(text(each.Args["body"])), text(each.Args["secret"])
	if each.Call == "webhooks.verify" {
		result["value"] = true
		return webhooks.Verify(body, header, secret, tolerance...)
	}
	event, err := webhooks.Unwrap(body, header, secret, tolerance...)
	if err == nil {
		result["value"], result["kind"] = event.Raw, "unknown"
		if event.Body != nil {
			result["value"], result["kind"] = event.Body, "known"
		}
	}
	return err
}

func (o *options) forClient() []cygni.ClientOption {
	var given []cygni.ClientOption
	for _, each := range o.shared() {
		given = append(given, each)
	}
	if o.APIKey != nil {
		given = append(given, cygni.WithAPIKey(*o.APIKey))
	}
	if o.BaseURL != nil {
		given = append(given, cygni.WithBaseURL(*o.BaseURL))
	}
	return given
}

func (o *options) forCall() []cygni.CallOption {
	var given []cygni.CallOption
	for _, each := range o.shared() {
		given = append(given, each)
	}
	if o.IdempotencyKey != nil {
		given = append(given, cygni.WithIdempotencyKey(*o.IdempotencyKey))
	}
	if o.IfMatch != nil {
		given = append(given, cygni.WithIfMatch(*o.IfMatch))
	}
	if o.LastEventID != nil {
		given = append(given, cygni.WithLastEventID(*o.LastEventID))
	}
	return given
}

func (o *options) shared() []cygni.Option {
	var given []cygni.Option
	if o.MaxRetries != nil {
		given = append(given, cygni.WithMaxRetries(*o.MaxRetries))
	}
	if o.Timeout != nil {
		given = append(given, cygni.WithTimeout(seconds(*o.Timeout)))
	}
	return given
}

var classes = map[int]string{
	400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
	409: "ConflictError", 422: "UnprocessableEntityError", 429: "RateLimitError",
}

func describe(err error) object {
	said := object{"class": "Error", "message": err.Error()}
	var refused *cygni.Error
	var failed *cygni.DeploymentFailedError
	var late *cygni.WaitTimeoutError
	switch {
	case errors.As(err, &refused):
		said = object{
			"class": "APIStatusError", "message": refused.Message, "status": refused.Status, "code": refused.Code,
			"hint": nil, "details": refused.Details, "errors": refused.Errors, "requestId": refused.RequestID,
			"retryAfter": nil, "last": last(refused.LastResponse),
		}
		if name, ok := classes[refused.Status]; ok {
			said["class"] = name
		} else if refused.Status >= 500 {
			said["class"] = "InternalServerError"
		}
		if refused.Hint != "" {
			said["hint"] = refused.Hint
		}
		if refused.RetryAfter > 0 {
			said["retryAfter"] = refused.RetryAfter.Seconds()
		}
	case errors.As(err, &failed):
		said["class"], said["deployment"] = "DeploymentFailedError", failed.Deployment
	case errors.As(err, &late):
		said["class"], said["deployment"] = "WaitTimeoutError", late.Deployment
	default:
		said["class"] = kind(err)
	}
	return said
}

func kind(err error) string {
	for _, each := range []struct {
		name  string
		found bool
	}{
		{"APITimeoutError", errors.As(err, new(*cygni.TimeoutError))},
		{"APIConnectionError", errors.As(err, new(*cygni.ConnectionError))},
		{"ConfigurationError", errors.As(err, new(*cygni.ConfigurationError))},
		{"ArchiveError", errors.As(err, new(*cygni.ArchiveError))},
		{"WebhookVerificationError", errors.As(err, new(*webhooks.VerificationError))},
	} {
		if each.found {
			return each.name
		}
	}
	return "Error"
}

func last(response *cygni.Response) any {
	if response == nil {
		return nil
	}
	said := object{"status": response.Status, "requestId": response.RequestID(), "rateLimit": nil}
	if limit := response.RateLimit(); limit != nil {
		said["rateLimit"] = object{
			"limit": limit.Limit, "remaining": limit.Remaining, "reset": limit.Reset.Unix(), "used": limit.Used,
			"resource": limit.Resource,
		}
	}
	return said
}

func text(raw json.RawMessage) (value string)    { decode(raw, &value); return }
func number(raw json.RawMessage) (value float64) { decode(raw, &value); return }

func seconds(value float64) time.Duration { return time.Duration(value * float64(time.Second)) }

func decode(raw json.RawMessage, into any) {
	if raw == nil {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		log.Fatal(err)
	}
}
