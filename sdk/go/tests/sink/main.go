// Everything that a program does with Cygni, against a real installation. Arguments: a folder to deploy, the port of
// the applications. Prints what it saw.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cygni/cygni-go"
)

const patience = 20 * time.Minute

func main() {
	seen, err := run(context.Background(), os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		log.Fatal(err)
	}
}

// sink is one run: who does it, to which project, and what it saw.
type sink struct {
	client  *cygni.Client
	project *cygni.Project
	seen    map[string]any
}

func run(ctx context.Context, folder, port string) (map[string]any, error) {
	owner, err := cygni.NewClient()
	if err != nil {
		return nil, err
	}
	token, err := owner.Tokens.Create(ctx, cygni.TokenInput{
		Name:   "kitchen sink",
		Scopes: []string{"projects:*", "deployments:*", "env:*", "logs:read", "tokens:*"},
	})
	if err != nil {
		return nil, err
	}
	client, err := cygni.NewClient(cygni.WithAPIKey(token.Secret))
	if err != nil {
		return nil, err
	}
	project, err := client.Projects.Create(ctx, cygni.ProjectInput{
		Name:   "go-sink",
		Labels: cygni.Set(map[string]string{"made-by": "a test"}),
	})
	if err != nil {
		return nil, err
	}
	s := sink{client, project, map[string]any{"labels": project.Labels}}
	upload, err := s.upload(ctx, folder)
	if err != nil {
		return nil, err
	}
	if err := s.deploy(ctx, upload, port); err != nil {
		return nil, err
	}
	if err := s.many(ctx); err != nil {
		return nil, err
	}
	return s.seen, s.refuse(ctx)
}

func (s sink) upload(ctx context.Context, folder string) (*cygni.Upload, error) {
	var progress []int64
	told := cygni.UploadParams{OnProgress: func(received, _ int64) { progress = append(progress, received) }}
	upload, err := s.client.Uploads.FromDirectory(ctx, folder, told)
	if err != nil {
		return nil, err
	}
	again, err := s.client.Uploads.FromDirectory(ctx, folder, cygni.UploadParams{})
	if err != nil {
		return nil, err
	}
	if again.SHA256 != upload.SHA256 {
		return nil, errors.New("the same folder gave other bytes")
	}
	s.seen["progress"] = []bool{progress[0] == 0, progress[len(progress)-1] == upload.SizeBytes}
	return upload, nil
}

// deploy brings the upload live, then with a variable, then as it was.
func (s sink) deploy(ctx context.Context, upload *cygni.Upload, port string) error {
	first, err := s.client.Deployments.Create(ctx, cygni.DeploymentCreate{
		ProjectID: s.project.ID,
		UploadID:  cygni.Set(upload.ID),
	})
	if err != nil {
		return err
	}
	lines, lineCount := s.client.Deployments.StreamLogs(ctx, first.ID, cygni.DeploymentsStreamLogsParams{}), 0
	for _, err := range lines.All() {
		if err != nil {
			return err
		}
		lineCount++
	}
	end := lines.End()
	s.seen["lines"], s.seen["end"] = lineCount, []any{end.Reason, end.Status, end.ExitCode}

	var pages []string
	look := func(begun *cygni.Deployment, err error) (*cygni.Deployment, error) {
		if err != nil {
			return nil, err
		}
		ended, err := s.client.Deployments.Wait(ctx, begun.ID, cygni.WaitParams{Timeout: patience})
		if err != nil {
			return nil, err
		}
		page, err := visit(ctx, *ended.URL, port)
		pages = append(pages, page)
		return ended, err
	}
	if _, err := look(first, nil); err != nil {
		return err
	}
	if _, err := s.client.Env.Create(ctx, cygni.EnvVariableInput{
		ProjectID:    s.project.ID,
		Key:          "COLOR",
		Value:        "grün",
		Environments: []string{"production"},
		Type:         cygni.Set(cygni.EnvVariableInputTypePlain),
	}); err != nil {
		return err
	}
	if _, err := look(s.client.Deployments.Redeploy(ctx, first.ID, cygni.Redeploy{})); err != nil {
		return err
	}
	back, err := look(s.client.Projects.Rollback(ctx, s.project.ID, cygni.ProjectRollback{}))
	if err != nil {
		return err
	}
	s.seen["pages"], s.seen["rollback"] = pages, []string{string(back.Type), string(back.Status)}
	return nil
}

// many makes 250 tokens, some at a time, and pages through them.
func (s sink) many(ctx context.Context) error {
	failed := make([]error, 5)
	var workers sync.WaitGroup
	for worker := range failed {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for at := 0; at < 50 && failed[worker] == nil; at++ {
				name := fmt.Sprintf("many %d %d", worker, at)
				_, failed[worker] = s.client.Tokens.Create(ctx, cygni.TokenInput{Name: name, Scopes: []string{"logs:read"}})
			}
		}()
	}
	workers.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	list := s.client.Tokens.List(ctx, cygni.TokensListParams{Limit: 100, Search: "many"})
	ids, pageCount := map[string]bool{}, 0
	for token, err := range list.All() {
		if err != nil {
			return err
		}
		ids[token.ID] = true
	}
	for _, err := range list.Pages() {
		if err != nil {
			return err
		}
		pageCount++
	}
	s.seen["many"] = []int{len(ids), pageCount}
	return nil
}

// refuse asks for what the API says no to, and deletes the s.project.
func (s sink) refuse(ctx context.Context) error {
	variables, err := s.client.Env.List(ctx, cygni.EnvListParams{ProjectID: s.project.ID}).Page()
	if err != nil {
		return err
	}
	id := variables.Items[0].ID
	change := cygni.EnvVariablePatch{Value: cygni.Set("x")}
	var refused *cygni.Error
	if _, err := s.client.Env.Update(ctx, id, change, cygni.WithIfMatch(`"stale.0"`)); !errors.As(err, &refused) {
		return fmt.Errorf("a stale change was not refused: %w", err)
	}
	s.seen["refused"] = refused.Code
	if _, err := s.client.Env.Delete(ctx, id); err != nil {
		return err
	}
	deleted, err := s.client.Projects.Delete(ctx, s.project.ID, cygni.ProjectsDeleteParams{Confirm: s.project.Name})
	if err != nil {
		return err
	}
	s.seen["deleted"] = []any{deleted.Status, deleted.LastResponse.Status}
	if _, err := s.client.Projects.Get(ctx, "nothing-of-the-kind"); !errors.As(err, &refused) {
		return fmt.Errorf("what does not exist was found: %w", err)
	}
	s.seen["missing"] = []any{refused.Code, refused.RequestID == refused.LastResponse.Header.Get("X-Request-Id")}
	return nil
}

// visit reads the application's page; its name leads nowhere outside of browsers.
func visit(ctx context.Context, address, port string) (string, error) {
	named, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:"+port, nil)
	if err != nil {
		return "", err
	}
	request.Host = named.Hostname() + ":" + port
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(page)), err
}
