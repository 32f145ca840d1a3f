package cygni

import "encoding/json"

// Field is an optional field of a request's body. Its zero value is not sent; [Set] and [Null] make the others.
//
// It is nil, or holds one pointer: to the value, or nil for null. As a slice it falls under omitempty.
type Field[T any] []*T

// Set is a field with this value.
func Set[T any](value T) Field[T] { return Field[T]{&value} }

// Null is a field that is sent as null: it clears what was set before.
func Null[T any]() Field[T] { return Field[T]{nil} }

// Ptr is a pointer to this value, for the values of maps that may be null.
func Ptr[T any](value T) *T { return &value }

// Get returns the value; false where the field is absent or null.
func (f Field[T]) Get() (T, bool) {
	if len(f) == 0 || f[0] == nil {
		var zero T
		return zero, false
	}
	return *f[0], true
}

// IsNull tells whether the field is sent as null.
func (f Field[T]) IsNull() bool { return len(f) > 0 && f[0] == nil }

// MarshalJSON implements [json.Marshaler].
func (f Field[T]) MarshalJSON() ([]byte, error) {
	if len(f) == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(f[0])
}

// UnmarshalJSON implements [json.Unmarshaler]: null stays null, and what is not there stays absent.
func (f *Field[T]) UnmarshalJSON(data []byte) error {
	var value *T
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*f = Field[T]{value}
	return nil
}
