package cygni

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// encodeQuery turns a struct of query parameters into pairs, by its json tags; zero values are left out, a list is
// one parameter with commas.
func encodeQuery(params any) url.Values {
	query := url.Values{}
	value := reflect.ValueOf(params)
	for i := range value.NumField() {
		field := value.Field(i)
		if field.IsZero() {
			continue
		}
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		query.Set(name, queryText(field))
	}
	return query
}

func queryText(value reflect.Value) string {
	if at, ok := value.Interface().(time.Time); ok {
		return at.UTC().Format(time.RFC3339Nano)
	}
	if value.Kind() == reflect.Pointer {
		return queryText(value.Elem())
	}
	if value.Kind() != reflect.Slice {
		return fmt.Sprint(value.Interface())
	}
	texts := make([]string, value.Len())
	for i := range texts {
		texts[i] = queryText(value.Index(i))
	}
	return strings.Join(texts, ",")
}
