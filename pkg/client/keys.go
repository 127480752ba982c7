package client

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"
)

// NoTTL is what TTL gives for a key that does not expire.
const NoTTL time.Duration = -1

// Incr adds delta to the number in a key, 0 when there is no such key, and gives the sum.
// An increment of unknown outcome is not repeated: it ends with ErrAmbiguous.
func (c *Client) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	cmd := incrCommand(key, delta)
	return numberOf(c.do(ctx, &cmd))
}

// Decr subtracts delta from the number in a key. See Incr.
func (c *Client) Decr(ctx context.Context, key string, delta int64) (int64, error) {
	if delta == math.MinInt64 {
		return 0, c.mistake("INCRBY", key, errDecr)
	}
	return c.Incr(ctx, key, -delta)
}

// errDecr: what would have to be added is no int64.
var errDecr = errors.New("client: decrement would overflow")

// Append puts bytes behind the value of a key, empty when there is no such key, and gives
// its new length.
func (c *Client) Append(ctx context.Context, key string, value []byte) (int, error) {
	n, err := numberOf(c.do(ctx, &command{op: opAppend, key: key, value: value}))
	return int(n), err
}

// GetDel removes a key and gives the value it had: nil and ErrNotFound when there was none.
func (c *Client) GetDel(ctx context.Context, key string) ([]byte, error) {
	return valueOf(c.do(ctx, &command{op: opGetDel, key: key}))
}

// GetEx gives the value of a key and lets it live for ttl from now on; NoTTL lets it
// live for ever.
func (c *Client) GetEx(ctx context.Context, key string, ttl time.Duration) ([]byte, error) {
	cmd, err := getExCommand(key, ttl)
	if err != nil {
		return nil, c.mistake("GETEX", key, err)
	}
	return valueOf(c.do(ctx, &cmd))
}

// Expire lets a key live for ttl from now on: ErrNotFound when there is none.
func (c *Client) Expire(ctx context.Context, key string, ttl time.Duration) error {
	if ttl <= 0 {
		return c.mistake("PEXPIRE", key, badTTL(ttl))
	}
	cmd := expireCommand(key, ttl)
	return foundOf(c.do(ctx, &cmd))
}

// ExpireAt lets a key live until t, to the millisecond and by the servers' clocks; a time
// that has passed deletes it. ErrNotFound when there is no such key.
func (c *Client) ExpireAt(ctx context.Context, key string, t time.Time) error {
	cmd := expireAtCommand(key, t)
	return foundOf(c.do(ctx, &cmd))
}

// Persist lets a key live for ever. It is no error when it did already, nor when there
// is no such key: the server gives one answer for both.
func (c *Client) Persist(ctx context.Context, key string) error {
	_, err := c.do(ctx, &command{op: opPersist, key: key})
	return err
}

// TTL says how long a key has to live, to the millisecond: NoTTL when for ever, ErrNotFound
// when there is none.
func (c *Client) TTL(ctx context.Context, key string) (time.Duration, error) {
	return c.usual().TTL(ctx, key)
}

func incrCommand(key string, delta int64) command {
	return command{op: opIncrBy, key: key, args: []string{strconv.FormatInt(delta, 10)}}
}

func expireCommand(key string, ttl time.Duration) command {
	return command{op: opPExpire, key: key, args: []string{strconv.FormatInt(milliseconds(ttl), 10)}}
}

// The functions below read answers of one shape each.

func valueOf(a answer, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case a.IsNull():
		return nil, ErrNotFound
	}
	return a.Text, nil
}

func numberOf(a answer, err error) (int64, error) { return a.Int, err }

func foundOf(a answer, err error) error {
	if err == nil && a.Int == 0 {
		return ErrNotFound
	}
	return err
}

func ttlOf(a answer, err error) (time.Duration, error) {
	switch {
	case err != nil:
		return 0, err
	case a.Int == noSuchKey:
		return 0, ErrNotFound
	case a.Int == noExpiry:
		return NoTTL, nil
	}
	return time.Duration(a.Int) * time.Millisecond, nil
}
