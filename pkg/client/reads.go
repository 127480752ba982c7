package client

import (
	"context"
	"fmt"
	"time"
)

// Reads are a client's reads with a bound of their own on how old an answer may be. Get
// one from Client.Reads. It may be used by any number of goroutines.
type Reads struct {
	c     *Client
	stale time.Duration
}

// Reads gives reads that followers may answer too: what an answer lacks was written less
// than maxStale before the call began. Below a millisecond only leaseholders answer.
// See Config.MaxStale, which is the bound of the client's own reads.
func (c *Client) Reads(maxStale time.Duration) Reads { return Reads{c, min(maxStale, staleMost)} }

// usual are the reads as the configuration has them.
func (c *Client) usual() Reads { return Reads{c, c.cfg.MaxStale} }

// get is the command that reads a key.
func (r Reads) get(key string) command {
	return command{op: opGet, key: key, hedge: true, stale: r.bound()}
}

// bound is 0 where the leaseholder is to answer.
func (r Reads) bound() time.Duration {
	if r.stale < time.Millisecond {
		return 0
	}
	return r.stale
}

// Get is Client.Get.
func (r Reads) Get(ctx context.Context, key string) ([]byte, error) {
	cmd := r.get(key)
	return valueOf(r.c.do(ctx, &cmd))
}

// GetInto is Client.GetInto.
func (r Reads) GetInto(ctx context.Context, key string, dst []byte) ([]byte, error) {
	cmd := r.get(key)
	cmd.into, cmd.dst = true, dst
	a, err := r.c.do(ctx, &cmd)
	switch {
	case err != nil:
		return dst, err
	case a.IsNull():
		return dst, ErrNotFound
	}
	return cmd.dst, nil
}

// MGet is Client.MGet.
func (r Reads) MGet(ctx context.Context, keys ...string) ([]Item, error) {
	jobs := jobsOf(r.get(""), keys)
	r.c.doAll(ctx, jobs)
	return itemsOf(jobs), r.c.keysError(jobs)
}

// Exists is Client.Exists.
func (r Reads) Exists(ctx context.Context, keys ...string) (int, error) {
	return r.c.countAll(ctx, command{op: opExists, stale: r.bound()}, keys)
}

// TTL is Client.TTL.
func (r Reads) TTL(ctx context.Context, key string) (time.Duration, error) {
	return ttlOf(r.c.do(ctx, &command{op: opPTTL, key: key, stale: r.bound()}))
}

// GetItem is Client.GetItem.
func (r Reads) GetItem(ctx context.Context, key string) (Item, error) {
	return itemBy(key, func() (value, ttl answer, err error) {
		jobs := []job{{cmd: command{op: opGet, key: key, stale: r.bound()}}, {cmd: command{op: opPTTL, key: key, stale: r.bound()}}}
		r.c.doAll(ctx, jobs)
		return jobs[0].answer, jobs[1].answer, orElse(jobs[0].err, jobs[1].err)
	})
}

// checkStale says what is wrong with a bound.
func checkStale(d time.Duration) error {
	if d < 0 || d > 0 && d < time.Millisecond || d > staleMost {
		return fmt.Errorf("%w: MaxStale is %v, it must be 0 or from 1 ms to %v", ErrConfig, d, staleMost)
	}
	return nil
}
