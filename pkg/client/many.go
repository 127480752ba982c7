package client

import (
	"context"
	"fmt"
)

// KV is a key with a value to store.
type KV struct {
	Key   string
	Value []byte
}

// KeyError is what went wrong with one of several keys.
type KeyError struct {
	Index int // in the caller's list
	Key   string
	Err   error
}

// KeysError says which keys of a call on several failed, and why; all others succeeded.
// errors.Is and errors.As look through all of them.
type KeysError struct {
	Of   int // keys in the call
	Keys []KeyError
}

// Error is one line for a log; it shows the first failure.
func (e *KeysError) Error() string {
	return fmt.Sprintf("client: %d of %d keys failed, the first: %v", len(e.Keys), e.Of, e.Keys[0].Err)
}

// Unwrap gives all causes.
func (e *KeysError) Unwrap() []error {
	errs := make([]error, len(e.Keys))
	for i, k := range e.Keys {
		errs[i] = k.Err
	}
	return errs
}

// MGet gives the items of several keys, in their order; a missing one has Found false and
// is no error. The keys may live on any nodes, which are asked at the same time with one
// GET per key: an MGET per slot was the simpler wire, but a hundred keys seldom
// share one of 16384 slots, and its errors are not per key. There is no
// common moment at which all values stood.
func (c *Client) MGet(ctx context.Context, keys ...string) ([]Item, error) {
	jobs := make([]job, len(keys))
	for i, k := range keys {
		jobs[i].cmd = command{op: opGet, key: k}
	}
	c.doAll(ctx, jobs)
	items := make([]Item, len(keys))
	for i := range jobs {
		items[i].Key = keys[i]
		if jobs[i].err == nil {
			items[i] = itemOf(keys[i], jobs[i].answer)
		}
	}
	return items, c.keysError(jobs)
}

// MSet stores several values as the options say; without any as Set does. It is not one
// transaction: a *KeysError names those that were not stored, or perhaps not, among
// them those whose condition did not hold.
func (c *Client) MSet(ctx context.Context, pairs []KV, options ...SetOption) error {
	jobs := make([]job, len(pairs))
	for i, p := range pairs {
		cmd, err := setCommand(p.Key, p.Value, options)
		if err != nil {
			return c.mistake("SET", p.Key, err)
		}
		jobs[i].cmd = cmd
	}
	c.doAll(ctx, jobs)
	for i := range jobs {
		if j := &jobs[i]; j.err == nil {
			_, j.err = writtenItem(&j.cmd, j.answer)
		} else {
			j.err = unknownOption(&j.cmd, j.err)
		}
	}
	return c.keysError(jobs)
}

// MDelete removes several keys and says how many of them there were.
func (c *Client) MDelete(ctx context.Context, keys ...string) (int, error) {
	return c.countAll(ctx, opDel, keys)
}

// Exists says how many of the keys there are; one that is named twice counts twice.
func (c *Client) Exists(ctx context.Context, keys ...string) (int, error) {
	return c.countAll(ctx, opExists, keys)
}

// Touch makes keys count as just used, and says how many of them there are.
func (c *Client) Touch(ctx context.Context, keys ...string) (int, error) {
	return c.countAll(ctx, opTouch, keys)
}

// countAll adds up what a command that counts answers for each key.
func (c *Client) countAll(ctx context.Context, op opKind, keys []string) (int, error) {
	jobs := make([]job, len(keys))
	for i, k := range keys {
		jobs[i].cmd = command{op: op, key: k}
	}
	c.doAll(ctx, jobs)
	n := 0
	for i := range jobs {
		if jobs[i].err == nil {
			n += int(jobs[i].answer.Int)
		}
	}
	return n, c.keysError(jobs)
}

// keysError gathers what failed; nil when nothing did.
func (c *Client) keysError(jobs []job) error {
	if c.refused != nil {
		return c.refused
	}
	var failed []KeyError
	for i := range jobs {
		if j := &jobs[i]; j.err != nil {
			failed = append(failed, KeyError{i, j.cmd.key, j.err})
		}
	}
	if failed == nil {
		return nil
	}
	return &KeysError{len(jobs), failed}
}
