package cygni

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// decodeModel fills known, a pointer to a struct without methods, and keeps the fields that it has no place for.
func decodeModel(data []byte, known any, extra *map[string]json.RawMessage) error {
	if err := json.Unmarshal(data, known); err != nil {
		return err
	}
	*extra = nil
	names := fieldNames(reflect.TypeOf(known).Elem())
	eachMember(data, func(key, value []byte) {
		var name string
		if names[string(key)] || json.Unmarshal([]byte(`"`+string(key)+`"`), &name) != nil || names[name] {
			return
		}
		if *extra == nil {
			*extra = map[string]json.RawMessage{}
		}
		(*extra)[name] = bytes.Clone(value)
	})
	return nil
}

// encodeModel is the opposite: the known fields, then the kept ones.
func encodeModel(known any, extra map[string]json.RawMessage) ([]byte, error) {
	encoded, err := json.Marshal(known)
	if err != nil || len(extra) == 0 {
		return encoded, err
	}
	rest, err := json.Marshal(extra)
	if err != nil || len(encoded) == len("{}") {
		return rest, err
	}
	return append(append(encoded[:len(encoded)-1], ','), rest[1:]...), nil
}

var namesOfTypes sync.Map // reflect.Type → map[string]bool

func fieldNames(of reflect.Type) map[string]bool {
	if kept, ok := namesOfTypes.Load(of); ok {
		return kept.(map[string]bool)
	}
	names := map[string]bool{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	namesOfTypes.Store(of, names)
	return names
}

// eachMember calls visit with each key, escaped as it came, and value of an object that is known to be valid JSON. A
// second decoding into a map would cost as much as the first one.
func eachMember(data []byte, visit func(key, value []byte)) {
	var depth, keyStart, valueStart int
	var key []byte
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			keyStart = i + 1
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 1 && key == nil {
				key = data[keyStart:i:i]
			}
		case ':':
			if depth == 1 && valueStart == 0 {
				valueStart = i + 1
			}
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 1 && key != nil {
				visit(key, bytes.TrimSpace(data[valueStart:i]))
				key, valueStart = nil, 0
			}
			if data[i] != ',' {
				depth--
			}
		}
	}
}
