package client

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
)

// Codec turns values of one type into bytes and back.
type Codec[T any] interface {
	// Encode appends the bytes of v to b.
	Encode(b []byte, v T) ([]byte, error)
	// Decode reads a value; b is the codec's to keep.
	Decode(b []byte) (T, error)
}

// TypedClient is a Client whose values have one type.
type TypedClient[T any] struct {
	client *Client
	codec  Codec[T]
}

// Typed puts a codec before a client, which stays open to other uses.
func Typed[T any](c *Client, codec Codec[T]) TypedClient[T] { return TypedClient[T]{c, codec} }

// CodecError is the failure of a codec; nothing was stored.
type CodecError struct {
	Key string
	Err error
}

// Error is one line for a log.
func (e *CodecError) Error() string {
	return fmt.Sprintf("client: value of %q: %v", shorten(e.Key), e.Err)
}

// Unwrap gives the codec's own error.
func (e *CodecError) Unwrap() error { return e.Err }

// Get gives the value of a key, ErrNotFound when there is none.
func (t TypedClient[T]) Get(ctx context.Context, key string) (T, error) {
	b, err := t.client.Get(ctx, key)
	if err != nil {
		var none T
		return none, err
	}
	return t.value(key, b)
}

// Set stores a value as the options say. See Client.SetX.
func (t TypedClient[T]) Set(ctx context.Context, key string, v T, options ...SetOption) error {
	b, err := t.codec.Encode(nil, v)
	if err != nil {
		return &CodecError{key, err}
	}
	_, err = t.client.SetX(ctx, key, b, options...)
	return err
}

// MGet gives the values of the keys that there are. Its error names those that failed.
func (t TypedClient[T]) MGet(ctx context.Context, keys ...string) (map[string]T, error) {
	items, err := t.client.MGet(ctx, keys...)
	values := make(map[string]T, len(items))
	for _, item := range items {
		if !item.Found {
			continue
		}
		v, bad := t.value(item.Key, item.Value)
		if bad != nil {
			return values, bad
		}
		values[item.Key] = v
	}
	return values, err
}

// Update replaces the value of a key by what change makes of it, again as often as another
// caller comes between: change must have no effects of its own. found is false, and old
// the zero value, when there is no such key. The error of change ends it, and nothing is
// stored. Needs a server that tells versions: ErrUnsupported.
func (t TypedClient[T]) Update(ctx context.Context, key string, change func(old T, found bool) (T, error), options ...SetOption) (T, error) {
	for {
		var old, none T
		was, err := keeper{c: t.client}.look(ctx, key)
		if err != nil {
			return none, err
		}
		found := was.version != 0
		if found {
			if old, err = t.value(key, was.value); err != nil {
				return none, err
			}
		}
		v, err := change(old, found)
		if err != nil {
			return none, err
		}
		if err = t.Set(ctx, key, v, append(options[:len(options):len(options)], IfVersion(was.version))...); err == nil {
			return v, nil
		}
		if !errors.Is(err, ErrVersionMismatch) {
			return none, err
		}
	}
}

func (t TypedClient[T]) value(key string, b []byte) (T, error) {
	v, err := t.codec.Decode(b)
	if err != nil {
		return v, &CodecError{key, err}
	}
	return v, nil
}

// JSON is the codec of encoding/json.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(b []byte, v T) ([]byte, error) {
	out, err := json.Marshal(v)
	return append(b, out...), err
}

func (jsonCodec[T]) Decode(b []byte) (v T, err error) { return v, json.Unmarshal(b, &v) }

// Gob is the codec of encoding/gob. Every value carries the description of its type.
func Gob[T any]() Codec[T] { return gobCodec[T]{} }

type gobCodec[T any] struct{}

func (gobCodec[T]) Encode(b []byte, v T) ([]byte, error) {
	out := bytes.NewBuffer(b)
	err := gob.NewEncoder(out).Encode(v)
	return out.Bytes(), err
}

func (gobCodec[T]) Decode(b []byte) (v T, err error) {
	return v, gob.NewDecoder(bytes.NewReader(b)).Decode(&v)
}

// Text is the codec of strings: their bytes.
func Text() Codec[string] { return textCodec{} }

type textCodec struct{}

func (textCodec) Encode(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
func (textCodec) Decode(b []byte) (string, error)           { return string(b), nil }

// Bytes is the codec of bytes: themselves.
func Bytes() Codec[[]byte] { return bytesCodec{} }

type bytesCodec struct{}

func (bytesCodec) Encode(b, v []byte) ([]byte, error) { return append(b, v...), nil }
func (bytesCodec) Decode(b []byte) ([]byte, error)    { return b, nil }
