package client

import (
	"context"
	"math"
	"strconv"
	"time"
)

// Get is Client.Get in the session.
func (s *Session) Get(ctx context.Context, key string) ([]byte, error) {
	return valueOf(s.do(ctx, command{op: opGet, key: key}))
}

// GetItem is Client.GetItem in the session.
func (s *Session) GetItem(ctx context.Context, key string) (Item, error) {
	return itemBy(key, func() (value, ttl answer, err error) {
		jobs := []job{{cmd: command{op: opGet, key: key}}, {cmd: command{op: opPTTL, key: key}}}
		s.doAll(ctx, jobs)
		return jobs[0].answer, jobs[1].answer, orElse(jobs[0].err, jobs[1].err)
	})
}

// MGet is Client.MGet in the session.
func (s *Session) MGet(ctx context.Context, keys ...string) ([]Item, error) {
	jobs := jobsOf(command{op: opGet}, keys)
	s.doAll(ctx, jobs)
	return itemsOf(jobs), s.c.keysError(jobs)
}

// TTL is Client.TTL in the session.
func (s *Session) TTL(ctx context.Context, key string) (time.Duration, error) {
	return ttlOf(s.do(ctx, command{op: opPTTL, key: key}))
}

// Exists is Client.Exists in the session.
func (s *Session) Exists(ctx context.Context, keys ...string) (int, error) {
	return s.countAll(ctx, opExists, keys)
}

// Set is Client.Set in the session.
func (s *Session) Set(ctx context.Context, key string, value []byte) error {
	_, err := s.do(ctx, command{op: opSet, key: key, value: value})
	return err
}

// SetWithTTL is Client.SetWithTTL in the session; ttl is in milliseconds.
func (s *Session) SetWithTTL(ctx context.Context, key string, value []byte, ttl int64) error {
	if ttl <= 0 {
		return s.c.mistake("SET", key, badTTL(time.Duration(ttl)*time.Millisecond))
	}
	_, err := s.do(ctx, command{op: opSet, key: key, value: value, set: setWords{expiry: expiryPX, at: ttl}})
	return err
}

// SetX is Client.SetX in the session.
func (s *Session) SetX(ctx context.Context, key string, value []byte, options ...SetOption) (Item, error) {
	cmd, err := setCommand(key, value, options)
	if err != nil {
		return Item{Key: key}, s.c.mistake("SET", key, err)
	}
	a, err := s.do(ctx, cmd)
	if err != nil {
		return Item{Key: key}, unknownOption(&cmd, err)
	}
	return writtenItem(&cmd, a)
}

// MSet is Client.MSet in the session.
func (s *Session) MSet(ctx context.Context, pairs []KV, options ...SetOption) error {
	return s.c.mset(pairs, options, func(jobs []job) { s.doAll(ctx, jobs) })
}

// Delete is Client.Delete in the session.
func (s *Session) Delete(ctx context.Context, key string) error {
	_, err := s.do(ctx, command{op: opDel, key: key})
	return err
}

// DeleteIf is Client.DeleteIf in the session.
func (s *Session) DeleteIf(ctx context.Context, key string, v Version) error {
	_, err := s.do(ctx, deleteIfCommand(key, v))
	return err
}

// MDelete is Client.MDelete in the session.
func (s *Session) MDelete(ctx context.Context, keys ...string) (int, error) {
	return s.countAll(ctx, opDel, keys)
}

// Touch is Client.Touch in the session.
func (s *Session) Touch(ctx context.Context, keys ...string) (int, error) {
	return s.countAll(ctx, opTouch, keys)
}

// Incr is Client.Incr in the session.
func (s *Session) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	return numberOf(s.do(ctx, incrCommand(key, delta)))
}

// Decr is Client.Decr in the session.
func (s *Session) Decr(ctx context.Context, key string, delta int64) (int64, error) {
	if delta == math.MinInt64 {
		return 0, s.c.mistake("INCRBY", key, errDecr)
	}
	return s.Incr(ctx, key, -delta)
}

// Append is Client.Append in the session.
func (s *Session) Append(ctx context.Context, key string, value []byte) (int, error) {
	n, err := numberOf(s.do(ctx, command{op: opAppend, key: key, value: value}))
	return int(n), err
}

// GetDel is Client.GetDel in the session.
func (s *Session) GetDel(ctx context.Context, key string) ([]byte, error) {
	return valueOf(s.do(ctx, command{op: opGetDel, key: key}))
}

// GetEx is Client.GetEx in the session.
func (s *Session) GetEx(ctx context.Context, key string, ttl time.Duration) ([]byte, error) {
	cmd, err := getExCommand(key, ttl)
	if err != nil {
		return nil, s.c.mistake("GETEX", key, err)
	}
	return valueOf(s.do(ctx, cmd))
}

// Expire is Client.Expire in the session.
func (s *Session) Expire(ctx context.Context, key string, ttl time.Duration) error {
	if ttl <= 0 {
		return s.c.mistake("PEXPIRE", key, badTTL(ttl))
	}
	return foundOf(s.do(ctx, expireCommand(key, ttl)))
}

// ExpireAt is Client.ExpireAt in the session.
func (s *Session) ExpireAt(ctx context.Context, key string, t time.Time) error {
	return foundOf(s.do(ctx, expireAtCommand(key, t)))
}

// Persist is Client.Persist in the session.
func (s *Session) Persist(ctx context.Context, key string) error {
	_, err := s.do(ctx, command{op: opPersist, key: key})
	return err
}

func (s *Session) countAll(ctx context.Context, op opKind, keys []string) (int, error) {
	jobs := jobsOf(command{op: op}, keys)
	s.doAll(ctx, jobs)
	return countOf(jobs), s.c.keysError(jobs)
}

// The functions below make commands that clients and sessions send.

func expireAtCommand(key string, t time.Time) command {
	return command{op: opPExpireAt, key: key, args: []string{strconv.FormatInt(t.UnixMilli(), 10)}}
}

func deleteIfCommand(key string, v Version) command {
	return command{op: opDelIfVer, key: key, args: []string{strconv.FormatUint(uint64(v), 10)}}
}

func getExCommand(key string, ttl time.Duration) (command, error) {
	cmd := command{op: opGetEx, key: key}
	switch {
	case ttl == NoTTL:
		cmd.set.expiry = expiryPersist
	case ttl <= 0:
		return cmd, badTTL(ttl)
	default:
		cmd.set.setExpiry(ttl)
	}
	return cmd, nil
}
