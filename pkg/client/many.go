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
	if c.near != nil {
		return c.near.items(ctx, keys)
	}
	return c.usual().MGet(ctx, keys...)
}

// itemsOf are the answers to GETs; one that failed is as one that is missing.
func itemsOf(jobs []job) []Item {
	items := make([]Item, len(jobs))
	for i := range jobs {
		items[i].Key = jobs[i].cmd.key
		if jobs[i].err == nil {
			items[i] = itemOf(jobs[i].cmd.key, jobs[i].answer)
		}
	}
	return items
}

// MSet stores several values as the options say; without any as Set does. It is not one
// transaction: a *KeysError names those that were not stored, or perhaps not, among
// them those whose condition did not hold.
func (c *Client) MSet(ctx context.Context, pairs []KV, options ...SetOption) error {
	return c.mset(pairs, options, func(jobs []job) { c.doAll(ctx, jobs) })
}

func (c *Client) mset(pairs []KV, options []SetOption, run func([]job)) error {
	jobs := make([]job, len(pairs))
	for i, p := range pairs {
		cmd, err := setCommand(p.Key, p.Value, options)
		if err != nil {
			return c.mistake("SET", p.Key, err)
		}
		jobs[i].cmd = cmd
	}
	run(jobs)
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
	return c.countAll(ctx, command{op: opDel}, keys)
}

// Exists says how many of the keys there are; one that is named twice counts twice.
func (c *Client) Exists(ctx context.Context, keys ...string) (int, error) {
	return c.usual().Exists(ctx, keys...)
}

// Touch makes keys count as just used, and says how many of them there are.
func (c *Client) Touch(ctx context.Context, keys ...string) (int, error) {
	return c.countAll(ctx, command{op: opTouch}, keys)
}

// countAll adds up what a command that counts answers for each key.
func (c *Client) countAll(ctx context.Context, cmd command, keys []string) (int, error) {
	jobs := jobsOf(cmd, keys)
	c.doAll(ctx, jobs)
	return countOf(jobs), c.keysError(jobs)
}

// jobsOf is one command for each of several keys.
func jobsOf(cmd command, keys []string) []job {
	jobs := make([]job, len(keys))
	for i, k := range keys {
		jobs[i].cmd = cmd
		jobs[i].cmd.key = k
	}
	return jobs
}

// countOf adds up the numbers that were answered.
func countOf(jobs []job) (n int) {
	for i := range jobs {
		if jobs[i].err == nil {
			n += int(jobs[i].answer.Int)
		}
	}
	return n
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

// keysErrorAt is keysError where the jobs are only some of the keys; at says which.
func (c *Client) keysErrorAt(jobs []job, at []int, of int) error {
	err := c.keysError(jobs)
	if failed, ok := err.(*KeysError); ok {
		failed.Of = of
		for i := range failed.Keys {
			failed.Keys[i].Index = at[failed.Keys[i].Index]
		}
	}
	return err
}
