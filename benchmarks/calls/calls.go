// calls PROJECT ROUNDS CALLS: the medians of each round, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/cygni/cygni-go"
)

func main() {
	project := os.Args[1]
	rounds, calls := number(os.Args[2]), number(os.Args[3])
	client, err := cygni.NewClient()
	check(err)
	ways := []func() error{
		func() error {
			_, err := client.Projects.Get(context.Background(), project)
			return err
		},
		bare(os.Getenv("CYGNI_API_URL") + "/projects/" + project),
	}
	medians := [2][]float64{}
	for round := -1; round < rounds; round++ {
		times := [2][]float64{}
		for range calls {
			for which, way := range ways {
				began := time.Now()
				check(way())
				times[which] = append(times[which], float64(time.Since(began).Nanoseconds())/1e6)
			}
		}
		if round < 0 { // warms up
			continue
		}
		for which, taken := range times {
			slices.Sort(taken)
			medians[which] = append(medians[which], taken[len(taken)/2])
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string][]float64{"sdk": medians[0], "bare": medians[1]}))
}

// bare is what a program without the SDK does.
func bare(url string) func() error {
	client := &http.Client{Timeout: time.Minute}
	return func() error {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Accept", "application/json")
		request.Header.Set("User-Agent", "cygni-go/0.1.0 (go/1.26.8)")
		request.Header.Set("X-Cygni-Client", `{"name":"sdk-go","sdk":"go/0.1.0","runtime":"go/1.26.8"}`)
		request.Header.Set("Authorization", "Bearer "+os.Getenv("CYGNI_API_KEY"))
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		var answer struct {
			Data map[string]any `json:"data"`
		}
		return json.NewDecoder(response.Body).Decode(&answer)
	}
}

func number(text string) int {
	found, err := strconv.Atoi(text)
	check(err)
	return found
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
