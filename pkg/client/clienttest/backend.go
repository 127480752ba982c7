package clienttest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// backend answers the Redis face from the state.
type backend struct{ *state }

var _ redis.Backend = (*backend)(nil)

// session is what is kept of one connection.
type session struct {
	level   string
	ends    bool          // at the next Commit, unanswered
	held    chan struct{} // what the last command was told to wait for
	written shardmap.Version
	inTxn   bool
	cmd     statemachine.Command
	res     statemachine.Result
}

func of(s *redis.Session) *session { return s.State.(*session) }

// Open implements redis.Backend.
func (b *backend) Open(s *redis.Session) { s.State = &session{level: "async"} }

// Closed implements redis.Backend.
func (b *backend) Closed(*redis.Session) {}

// admitLocked lets a command meet its failure. A transaction has met its Hold in Begin.
func (b *backend) admitLocked(s *session, key []byte, write bool) (*fault, error) {
	f := b.meetLocked(key, write)
	switch {
	case f == nil:
		return nil, nil
	case f.held != nil && s.inTxn:
		return nil, nil
	case f.held != nil:
		s.held = f.held
		return f, redis.ErrAgain
	case f.what == Dropped:
		s.ends = true
		return f, errEnds
	}
	return f, f.refusal()
}

// Get implements redis.Backend.
func (b *backend) Get(rs *redis.Session, _ shardmap.Slot, key, dst []byte) ([]byte, bool, error) {
	s := of(rs)
	defer b.enter(s)()
	v, found, err := b.lookupLocked(rs, key, rs.Quiet)
	return append(dst, v.Data...), found, err
}

// enter takes the mutex, unless a transaction of the session has it.
func (b *backend) enter(s *session) (leave func()) {
	if s.inTxn {
		return func() {}
	}
	b.mu.Lock()
	return b.mu.Unlock
}

func (b *backend) lookupLocked(rs *redis.Session, key []byte, quiet bool) (statemachine.Value, bool, error) {
	if _, err := b.admitLocked(of(rs), key, false); err != nil {
		return statemachine.Value{}, false, err
	}
	v, found := b.machine.Lookup(key, quiet, b.now)
	if rs.Version = 0; found {
		rs.Version = v.Version
	}
	if rs.Seen != nil {
		rs.Seen(0, key)
	}
	return v, found, nil
}

// Stat implements redis.Backend.
func (b *backend) Stat(rs *redis.Session, _ shardmap.Slot, key []byte) (redis.Stat, error) {
	s := of(rs)
	defer b.enter(s)()
	v, found, err := b.lookupLocked(rs, key, true)
	return redis.Stat{Found: found, Len: len(v.Data), Deadline: v.Deadline, Now: b.now}, err
}

// Watch implements redis.Backend.
func (b *backend) Watch(on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = on
	b.watchLocked()
	return nil
}

// Look implements redis.Backend.
func (b *backend) Look(rs *redis.Session, _ shardmap.Slot, key []byte) (redis.Glance, error) {
	s := of(rs)
	defer b.enter(s)()
	if _, err := b.admitLocked(s, key, false); err != nil {
		return redis.Glance{}, err
	}
	w := b.machine.Look(key, b.now)
	return redis.Glance{Version: w.Version, Gone: w.Gone, Epoch: b.position.Epoch()}, nil
}

// Do implements redis.Backend. Kinds, conditions and modes have the same numbers here and
// there.
func (b *backend) Do(rs *redis.Session, op *redis.Op, res *redis.Result) error {
	s := of(rs)
	defer b.enter(s)()
	f, err := b.admitLocked(s, op.Key, true)
	if err != nil {
		return err
	}
	s.cmd = statemachine.Command{
		Kind: statemachine.Kind(op.Kind), Cond: statemachine.Cond(op.Cond), TTLMode: statemachine.TTLMode(op.TTLMode),
		WithOld: op.WithOld, Quiet: rs.Quiet, Key: op.Key, Value: op.Value, TTL: op.TTL, Delta: op.Delta, Origin: uint64(rs.ID),
	}
	if err := b.executeLocked(s); err != nil {
		return err
	}
	rs.Version = s.res.Version()
	res.Changed, res.Existed, res.Int = s.res.Changed, s.res.Existed, s.res.Int
	res.Value = append(res.Value[:0], s.res.Value...)
	if f != nil && f.what == Ambiguous {
		s.ends = true
	}
	return nil
}

func (b *backend) executeLocked(s *session) error {
	err := b.machine.Execute(&s.cmd, b.nextLocked(), b.now, &s.res)
	if errors.Is(err, statemachine.ErrTooLarge) {
		return redis.ErrTooLarge
	}
	if err == nil && s.res.Changed && !s.inTxn {
		s.written = s.res.Version()
		b.keepLocked(&s.res.Record)
	}
	return err
}

// Begin implements redis.Backend.
func (b *backend) Begin(rs *redis.Session, slot shardmap.Slot, _ bool) error {
	s := of(rs)
	b.mu.Lock()
	for _, f := range b.faults {
		if f.held != nil && (f.key == "" || shardmap.SlotOfString(f.key) == slot) {
			s.held = f.held
			b.mu.Unlock()
			return redis.ErrAgain
		}
	}
	b.machine.Begin(b.nextLocked())
	s.inTxn = true
	return nil
}

// Usage implements redis.Backend.
func (b *backend) Usage(_ *redis.Session, key []byte) redis.Usage {
	u, _ := b.machine.Usage(key)
	return redis.Usage{Bytes: u.Bytes, Hits: u.Hits}
}

// End implements redis.Backend.
func (b *backend) End(rs *redis.Session) {
	s := of(rs)
	if b.machine.End(&s.res.Record) {
		s.written = s.res.Record.Version
		b.keepLocked(&s.res.Record)
	}
	s.inTxn = false
	b.mu.Unlock()
}

// ValueBytesMax implements redis.Backend.
func (b *backend) ValueBytesMax() int64 { return b.machine.ValueBytesMax() }

// BackgroundSave implements redis.Backend: there is no disk.
func (b *backend) BackgroundSave() error { return redis.ErrSaving }

// LastSave implements redis.Backend.
func (b *backend) LastSave() time.Time { return time.Time{} }

// FlushAll implements redis.Backend.
func (b *backend) FlushAll(rs *redis.Session) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := of(rs)
	s.cmd = statemachine.Command{Kind: statemachine.Flush, Origin: uint64(rs.ID)}
	return 1, b.executeLocked(s)
}

// Flush implements redis.Backend: all keys are in one shard here, whatever one is named.
func (b *backend) Flush(rs *redis.Session, _ shardmap.ShardID) error {
	_, err := b.FlushAll(rs)
	return err
}

// Count implements redis.Backend, likewise: the first shard has all keys.
func (b *backend) Count(rs *redis.Session, shard shardmap.ShardID) (int64, error) {
	if shard != 0 {
		return 0, nil
	}
	return b.Size(rs)
}

// Size implements redis.Backend.
func (b *backend) Size(*redis.Session) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.machine.AdvanceTime(b.now)
	b.machine.Settle()
	return int64(b.machine.Len()), nil
}

// Walk implements redis.Backend: all keys are in one shard here, whatever one is asked for.
func (b *backend) Walk(_ *redis.Session, at redis.Cursor, n int, visit func(key []byte)) (redis.Cursor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.machine.Walk(at.Place(), n, b.now, visit)
	if next == 0 {
		return 0, nil
	}
	return redis.CursorAt(at.Shard(), next), nil
}

// Step implements redis.Backend.
func (b *backend) Step(s *redis.Session, at redis.Cursor, n int, visit func(key []byte)) (redis.Cursor, error) {
	return b.Walk(s, at, n, visit)
}

// RandomKey implements redis.Backend: the last one of the walk.
func (b *backend) RandomKey(s *redis.Session) (key []byte, found bool, err error) {
	_, err = b.Walk(s, 0, math.MaxInt, func(k []byte) { key, found = append(key[:0], k...), true })
	return key, found, err
}

// ResetStats implements redis.Backend: nothing is counted.
func (b *backend) ResetStats() {}

// Commit implements redis.Backend.
func (b *backend) Commit(rs *redis.Session) error {
	if of(rs).ends {
		return redis.ErrUnknown
	}
	return nil
}

// Park implements redis.Backend: it waits for the end of the Hold.
func (b *backend) Park(rs *redis.Session, _ time.Time) error {
	<-of(rs).held
	return nil
}

// Wait implements redis.Backend. Nothing is replicated.
func (b *backend) Wait(*redis.Session, int, time.Duration) (int, error) { return 0, nil }

// Held implements redis.Backend.
func (b *backend) Held(_ *redis.Session, _ shardmap.ShardID, _ uint32, v shardmap.Version) (shardmap.Version, int, error) {
	return v, 0, nil
}

// Followers implements redis.Backend.
func (b *backend) Followers() int { return 0 }

// SetLevel implements redis.Backend. Every level is met by one node.
func (b *backend) SetLevel(rs *redis.Session, level string) (string, error) {
	s := of(rs)
	switch level {
	case "":
	case "default":
		s.level = "async"
	case "async", "majority", "all":
		s.level = level
	default:
		return "", redis.ReplyError("ERR unknown ack level " + strconv.Quote(level) + ": use async, majority or all")
	}
	return s.level, nil
}

// cluster is the id in tokens.
const cluster = "clienttest"

// Token implements redis.Backend, in the form of a node's.
func (b *backend) Token(rs *redis.Session, _ []redis.Mark) string {
	if v := of(rs).written; v != 0 {
		return fmt.Sprintf("1:%s:0.%d", cluster, v)
	}
	return "1:" + cluster + ":"
}

// Check implements redis.Backend.
func (b *backend) Check(_ *redis.Session, token string) ([]redis.Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	marks, ok := strings.CutPrefix(token, "1:"+cluster+":")
	if !ok {
		return nil, redis.ReplyError("ERR the token cannot be read: take it from AEGIS.TOKEN")
	}
	var out []redis.Verdict
	for mark := range strings.SplitSeq(marks, ",") {
		n, err := strconv.ParseUint(strings.TrimPrefix(mark, "0."), 10, 63)
		if err == nil {
			out = append(out, redis.Verdict{Version: shardmap.Version(n), Word: b.verdictLocked(shardmap.Version(n))})
		}
	}
	return out, nil
}

// Admin implements redis.Backend.
func (b *backend) Admin(*redis.Session, []string) ([]byte, error) {
	return nil, redis.ReplyError("ERR there is no cluster to administer")
}

// Map implements redis.Backend.
func (b *backend) Map() *shardmap.Map {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.routes
}

// Self implements redis.Backend.
func (b *backend) Self() shardmap.NodeID { return 1 }

// Links implements redis.Backend: there is one node.
func (b *backend) Links() []redis.Link { return nil }

// Info implements redis.Backend.
func (b *backend) Info() []redis.InfoSection {
	return []redis.InfoSection{{Name: "Cluster", Fields: [][2]string{{"cluster_enabled", "1"}}}}
}

// Settings implements redis.Backend.
func (b *backend) Settings() [][2]string { return [][2]string{{"numShards", "1"}} }

// TooLargeText implements redis.Backend.
func (b *backend) Awake() {}

func (b *backend) TooLargeText() string {
	return fmt.Sprintf(": the longest is %d bytes", b.ValueBytesMax())
}
