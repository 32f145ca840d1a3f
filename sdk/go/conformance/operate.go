package main

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"reflect"
	"strings"

	"github.com/cygni/cygni-go"
)

// operate calls the method of an operation: client.Projects.Get for projects.get.
func operate(ctx context.Context, client *cygni.Client, each call, result object) error {
	noun, verb, _ := strings.Cut(each.Call, ".")
	method := find(reflect.ValueOf(client).Elem().FieldByNameFunc(alike(noun)), verb)
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for _, id := range each.IDs {
		in = append(in, reflect.ValueOf(id))
	}
	encoded, _ := json.Marshal(each.Args)
	for i := len(in); i < method.Type().NumIn()-1; i++ {
		params := reflect.New(method.Type().In(i))
		if err := json.Unmarshal(encoded, params.Interface()); err != nil {
			return err
		}
		in = append(in, params.Elem())
	}
	for _, option := range each.Options.forCall() {
		in = append(in, reflect.ValueOf(option))
	}
	out := method.Call(in)
	if len(out) == 2 {
		return answer(out, each.Take, result)
	}
	if each.Take == "stream" {
		return stream(out[0], result)
	}
	return list(out[0], each, result)
}

func answer(out []reflect.Value, take string, result object) error {
	if err, failed := out[1].Interface().(error); failed {
		return err
	}
	if content, isBytes := out[0].Interface().(io.ReadCloser); isBytes {
		defer content.Close()
		read, err := io.ReadAll(content)
		result["text"] = string(read)
		return err
	}
	response, isResponse := out[0].Interface().(*cygni.Response)
	var value any
	if isResponse {
		value = response.Data
	} else {
		value = out[0].Interface()
		response = out[0].Elem().FieldByName("LastResponse").Interface().(*cygni.Response)
	}
	result["value"], result["last"] = value, last(response)
	if take == "raw" {
		headers := map[string]string{}
		for name := range response.Header {
			headers[strings.ToLower(name)] = response.Header.Get(name)
		}
		result["status"], result["headers"], result["text"] = response.Status, headers, string(response.Body)
		result["requestId"] = response.RequestID()
	}
	return nil
}

func list(found reflect.Value, each call, result object) error {
	if each.Take == "page" {
		out := find(found, "page").Call(nil)
		if err, failed := out[1].Interface().(error); failed {
			return err
		}
		page := out[0].Elem()
		result["items"], result["pagination"] = page.FieldByName("Items").Interface(), page.FieldByName("Pagination").Interface()
		result["last"] = last(page.FieldByName("LastResponse").Interface().(*cygni.Response))
		return nil
	}
	if each.Take == "pages" {
		pages := []any{}
		err := walk(find(found, "pages"), 0, func(page reflect.Value) {
			pages = append(pages, page.Elem().FieldByName("Items").Interface())
		})
		result["pages"] = pages
		return err
	}
	items := []any{}
	err := walk(find(found, "all"), each.First, func(item reflect.Value) { items = append(items, item.Interface()) })
	result["items"] = items
	return err
}

func stream(found reflect.Value, result object) error {
	opened := found.Interface().(interface {
		Events() iter.Seq2[*cygni.StreamEvent, error]
		End() *cygni.StreamEnd
		LastEventID() string
	})
	events := []object{}
	var failure error
	for event, err := range opened.Events() {
		if err != nil {
			failure = err
			break
		}
		events = append(events, object{"event": event.Event, "id": event.ID, "data": event.Data})
	}
	result["events"], result["end"], result["lastEventId"] = events, opened.End(), opened.LastEventID()
	return failure
}

// walk iterates over the iter.Seq2 that a method returns; first is how far, 0 to the end.
func walk(method reflect.Value, first int, visit func(reflect.Value)) error {
	sequence := method.Call(nil)[0]
	var failure error
	count := 0
	yield := reflect.MakeFunc(sequence.Type().In(0), func(given []reflect.Value) []reflect.Value {
		if err, failed := given[1].Interface().(error); failed {
			failure = err
			return []reflect.Value{reflect.ValueOf(false)}
		}
		visit(given[0])
		count++
		return []reflect.Value{reflect.ValueOf(count != first)}
	})
	sequence.Call([]reflect.Value{yield})
	return failure
}

func find(of reflect.Value, name string) reflect.Value {
	for i := range of.NumMethod() {
		if strings.EqualFold(of.Type().Method(i).Name, name) {
			return of.Method(i)
		}
	}
	panic(name + " is no method of " + of.Type().String())
}

func alike(name string) func(string) bool {
	return func(other string) bool { return strings.EqualFold(name, other) }
}
