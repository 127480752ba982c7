package node

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// Waiting times of the client port.
const (
	parkMax  = 200 * time.Millisecond // one client library gives up after 250 ms
	delayMax = 50 * time.Millisecond
	ackMax   = 5 * time.Second // a majority ack that takes longer leaves the outcome unknown
)

// patientClient is the library name of our Go client. Its many callers share one
// connection, so a command parked here would hold back those of other groups; it
// waits by itself, up to each caller's deadline.
const patientClient = "aegiskv-go"

// patient reports that a connection carries many callers' commands and waits by itself.
func patient(rs *redis.Session) bool {
	return rs.LibName == patientClient || rs.LibName == gatewayClient
}

// session is what the node keeps of one client connection.
type session struct {
	stint   stint
	level   ackLevel
	disks   bool              // a write since the last Commit waits for disks
	now     multiraft.Instant // read at the first command since the last Commit
	fresh   bool
	leases  []touched // checked at Commit
	last    []uint16  // by group: 1 + the place in leases of what was touched last, 0 = nothing
	wrote   bool      // a write is among them
	tickets []ticketWait
	written writtenShards
	cmd     statemachine.Command
	res     statemachine.Result
	wait    waitReason
	quiet   bool            // the look under way is no hit
	keys    shardgroup.Keys // scratch of Walk
	txn     transaction
}

// touched is a lease that commands since the last Commit were run under.
type touched struct {
	lease shardgroup.Lease
	group shardmap.GroupID
	epoch uint32 // of the first write under it, 0 = nothing was written
}

// transaction is the one that a session has open: from Begin to End its commands go
// into it.
type transaction struct {
	shardgroup.Txn
	open    bool
	replica *shardgroup.Replica
	shard   shardmap.ShardID
}

// ticketWait is an ack that Commit waits for.
type ticketWait struct {
	id   uint64
	done chan shardgroup.Outcome
}

// waitReason is why the last command was told to come again.
type waitReason struct {
	group   shardmap.GroupID
	seq     uint64
	delayed bool
}

// backend answers the Redis face from the data plane.
type backend struct {
	n *Node
}

var (
	_ redis.Backend = backend{}
	_ redis.Warmer  = backend{}
)

func state(s *redis.Session) *session { return s.State.(*session) }

// Open implements redis.Backend.
func (b backend) Open(s *redis.Session) {
	l := b.n.routes.Load().Layout()
	own := &session{level: b.n.level, last: make([]uint16, l.Groups+1), written: writtenShards{layout: l}}
	s.State = own
	b.n.stints.join(&own.stint)
}

// Closed implements redis.Backend.
func (b backend) Closed(s *redis.Session) {
	b.n.stints.leave(&state(s).stint)
	for _, t := range state(s).tickets {
		b.n.tickets.drop(t.id)
	}
}

// clock reads the clocks once for the commands up to the next Commit; Commit
// itself reads them afresh.
func (s *session) clock() multiraft.Instant {
	if !s.fresh {
		s.stint.begin() // before the replica is asked whether it is parked
		s.now, s.fresh = multiraft.Glance(), true
	}
	return s.now
}

// touch remembers the lease of a group for Commit. A deep pipeline touches all groups
// again and again, so that looking through leases would cost more than the check.
func (s *session) touch(r *shardgroup.Replica, l shardgroup.Lease) *touched {
	last := &s.last[r.Group()]
	if *last > 0 {
		if t := &s.leases[*last-1]; t.lease == l {
			return t
		}
	}
	s.leases = append(s.leases, touched{lease: l, group: r.Group()})
	*last = uint16(min(len(s.leases), math.MaxUint16))
	return &s.leases[len(s.leases)-1]
}

// replica finds where a slot is served here, or says where else.
func (b backend) replica(slot shardmap.Slot) (*shardgroup.Replica, shardmap.ShardID, error) {
	m := b.n.routes.Load()
	shard := m.Layout().ShardOf(slot)
	if r := b.n.core.Data().ReplicaOf(shard); r != nil {
		return r, shard, nil
	}
	leader := m.LeaderOf(slot)
	if leader == 0 || leader == b.n.self {
		return nil, shard, redis.ErrDown
	}
	return nil, shard, b.moved(slot, leader)
}

func (b backend) moved(slot shardmap.Slot, to shardmap.NodeID) error {
	n, ok := b.n.routes.Load().Node(to)
	if !ok {
		return redis.ErrDown
	}
	return &redis.MovedError{Slot: slot, Addr: n.Host + ":" + strconv.Itoa(n.Port)}
}

// refuse turns a refusal of the data plane into one of the face.
func (b backend) refuse(s *session, slot shardmap.Slot, a shardgroup.Admission, err error) error {
	switch {
	case errors.Is(err, shardgroup.ErrMoved):
		return b.moved(slot, a.Holder)
	case errors.Is(err, shardgroup.ErrParked), errors.Is(err, shardgroup.ErrDelayed):
		m := b.n.routes.Load()
		s.wait = waitReason{group: m.Layout().GroupOf(m.Layout().ShardOf(slot)), seq: a.Wake, delayed: errors.Is(err, shardgroup.ErrDelayed)}
		if s.fresh = false; len(s.leases) == 0 {
			s.stint.end() // nothing was done: a move must not wait for what waits for it
		}
		return redis.ErrAgain
	case errors.Is(err, shardgroup.ErrNoReplicas):
		return redis.ErrNoReplicas
	case errors.Is(err, shardgroup.ErrLoading):
		return redis.ErrLoading
	case errors.Is(err, shardgroup.ErrUnavailable):
		return redis.ErrDown
	case errors.Is(err, shardgroup.ErrOOM):
		return redis.ReplyError("OOM command not allowed when used memory > 'maxmemory'.")
	case errors.Is(err, statemachine.ErrTooLarge):
		return redis.ErrTooLarge
	}
	return err
}

// Get implements redis.Backend.
func (b backend) Get(rs *redis.Session, slot shardmap.Slot, key, dst []byte) ([]byte, bool, error) {
	s := state(rs)
	s.quiet = rs.Quiet
	v, found, err := b.lookup(rs, s, slot, key, dst)
	if err != nil {
		return dst, false, err
	}
	b.n.counts.get(found)
	if !found {
		return dst, false, nil
	}
	return v.Data, true, nil
}

// lookup finds a key, in the open transaction if there is one.
func (b backend) lookup(rs *redis.Session, s *session, slot shardmap.Slot, key, dst []byte) (v statemachine.Value, found bool, err error) {
	if s.txn.open {
		v, found = s.txn.Get(key, dst, s.quiet)
		rs.Version = versionOf(v, found)
		if rs.Seen != nil {
			rs.Seen(s.txn.shard, key)
		}
		return v, found, nil
	}
	if rs.Seen != nil { // a transaction holds the shard until the read is noted
		if err := b.Begin(rs, slot, false); err != nil {
			return v, false, err
		}
		defer b.End(rs)
		return b.lookup(rs, s, slot, key, dst)
	}
	r, shard, err := b.replica(slot)
	if err != nil {
		return v, false, err
	}
	v, found, a, err := r.Get(shard, key, dst, s.quiet, s.clock())
	if err != nil && rs.Staleness > 0 && rs.Seen == nil {
		return b.lookStale(rs, s, slot, r, shard, key, dst, a, err)
	}
	if err != nil {
		return v, false, b.refuse(s, slot, a, err)
	}
	if rs.Least > 0 {
		return v, false, redis.ErrStaleCopy // it was meant for a copy that follows
	}
	s.touch(r, a.Lease)
	rs.Version = versionOf(v, found)
	return v, found, nil
}

// lookStale finds a key in a copy that follows, if it is fresh enough for the session;
// otherwise the holder is to be asked. Keys that the session tracks are read at the
// holder, which hears of their changes.
func (b backend) lookStale(rs *redis.Session, s *session, slot shardmap.Slot, r *shardgroup.Replica, shard shardmap.ShardID, key, dst []byte, a shardgroup.Admission, away error) (statemachine.Value, bool, error) {
	v, found, err := r.GetStale(shard, key, dst, s.quiet, rs.Staleness, rs.Least, multiraft.Now())
	switch {
	case err == nil:
		rs.Version = versionOf(v, found)
		return v, found, nil
	case errors.Is(away, shardgroup.ErrParked) && r.Lease() == nil:
		return v, false, redis.ErrStaleCopy
	}
	return v, false, b.refuse(s, slot, a, away)
}

// versionOf is the version of a key as clients are told it.
func versionOf(v statemachine.Value, found bool) shardmap.Version {
	if !found {
		return 0
	}
	return v.Version
}

// Stat implements redis.Backend.
func (b backend) Stat(rs *redis.Session, slot shardmap.Slot, key []byte) (redis.Stat, error) {
	s := state(rs)
	s.quiet = true
	v, found, err := b.lookup(rs, s, slot, key, s.res.Value[:0])
	if err != nil {
		return redis.Stat{}, err
	}
	return redis.Stat{Found: found, Len: len(v.Data), Deadline: v.Deadline, Now: s.now.Wall}, nil
}

// Look implements redis.Backend.
func (b backend) Look(rs *redis.Session, slot shardmap.Slot, key []byte) (redis.Glance, error) {
	s := state(rs)
	if s.txn.open {
		return glance(s.txn.Look(key)), nil
	}
	r, shard, err := b.replica(slot)
	if err != nil {
		return redis.Glance{}, err
	}
	w, a, err := r.Look(shard, key, s.clock())
	if err != nil {
		return redis.Glance{}, b.refuse(s, slot, a, err)
	}
	s.touch(r, a.Lease)
	return glance(w), nil
}

func glance(w shardgroup.Glance) redis.Glance {
	return redis.Glance{Version: w.Version, Gone: w.Gone, Epoch: w.Epoch}
}

// Do implements redis.Backend. The kinds, conditions and modes of Op have the
// numbers of statemachine.Command, which a test keeps true.
func (b backend) Do(rs *redis.Session, op *redis.Op, res *redis.Result) error {
	s := state(rs)
	s.cmd = statemachine.Command{
		Kind: statemachine.Kind(op.Kind), Cond: statemachine.Cond(op.Cond), TTLMode: statemachine.TTLMode(op.TTLMode),
		WithOld: op.WithOld, Quiet: rs.Quiet, Key: op.Key, Value: op.Value, TTL: op.TTL, Delta: op.Delta, Origin: uint64(rs.ID),
	}
	if s.txn.open {
		if err := s.txn.Do(&s.cmd, &s.res); err != nil {
			return b.refuse(s, op.Slot, shardgroup.Admission{}, err)
		}
		rs.Version = s.res.Version()
		s.give(res)
		return nil
	}
	r, shard, err := b.replica(op.Slot)
	if err != nil {
		return err
	}
	a, err := r.Do(shard, &s.cmd, s.level.copies, &s.res, s.clock())
	var under *touched
	if a.Lease != nil {
		under = s.touch(r, a.Lease) // an error that depends on the data needs the fresh check too
	}
	if err != nil {
		return b.refuse(s, op.Slot, a, err)
	}
	rs.Version = s.res.Version()
	s.give(res)
	if s.res.Changed {
		b.note(s, r, shard, a, under)
	}
	return nil
}

// give answers what the last command did.
func (s *session) give(res *redis.Result) {
	res.Changed, res.Existed, res.Int = s.res.Changed, s.res.Existed, s.res.Int
	res.Value = append(res.Value[:0], s.res.Value...)
}

// Begin implements redis.Backend.
func (b backend) Begin(rs *redis.Session, slot shardmap.Slot, write bool) error {
	s := state(rs)
	r, shard, err := b.replica(slot)
	if err != nil {
		return err
	}
	a, err := r.Begin(&s.txn.Txn, shard, write, s.level.copies, s.clock())
	if err != nil {
		return b.refuse(s, slot, a, err)
	}
	s.txn.open, s.txn.replica, s.txn.shard = true, r, shard
	return nil
}

// Usage implements redis.Backend.
func (b backend) Usage(rs *redis.Session, key []byte) redis.Usage {
	u, _ := state(rs).txn.Usage(key)
	return redis.Usage{Bytes: u.Bytes, Hits: u.Hits}
}

// End implements redis.Backend.
func (b backend) End(rs *redis.Session) {
	s := state(rs)
	a, changed := s.txn.End()
	s.txn.open = false
	under := s.touch(s.txn.replica, a.Lease)
	if changed {
		b.note(s, s.txn.replica, s.txn.shard, a, under)
	}
	s.txn.replica = nil
}

// ValueBytesMax implements redis.Backend.
func (b backend) ValueBytesMax() int64 { return b.n.valueMax.Load() }

// note remembers a write for its acks, its token, and WAIT.
func (b backend) note(s *session, r *shardgroup.Replica, shard shardmap.ShardID, a shardgroup.Admission, under *touched) {
	s.wrote = true
	s.written.note(shard, a.Version)
	if under.epoch == 0 {
		under.epoch = a.Version.Epoch()
	}
	s.disks = s.disks || s.level.disks
	if s.level.copies == shardgroup.Async {
		return
	}
	b.await(s, r, a.Lease, shardgroup.Ticket{Shard: shard, Version: a.Version, Level: s.level.copies, Durable: s.level.disks, Deadline: s.now.Mono + ackMax})
}

// await registers a ticket, or counts its outcome when that is known at once.
func (b backend) await(s *session, r *shardgroup.Replica, l shardgroup.Lease, t shardgroup.Ticket) {
	id, done := b.n.tickets.open()
	t.ID = id
	if o := r.Await(l, t, s.now); o != shardgroup.Waiting {
		done <- o
	}
	s.tickets = append(s.tickets, ticketWait{id, done})
}

// collect waits for the session's tickets but the first few; the worst outcome counts.
func (b backend) collect(s *session, first int) shardgroup.Outcome {
	worst := shardgroup.Acked
	for _, t := range s.tickets[first:] {
		worst = max(worst, <-t.done)
		b.n.tickets.drop(t.id)
	}
	s.tickets = s.tickets[:first]
	return worst
}

// Commit implements redis.Backend: acks first, then the log, then the fresh lease checks.
func (b backend) Commit(rs *redis.Session) error {
	s := state(rs)
	s.fresh = false
	outcome := shardgroup.Acked
	if len(s.tickets) > 0 {
		b.n.durable.wake() // it is written while the acks are waited for
		outcome = b.collect(s, 0)
	}
	ok := outcome == shardgroup.Acked
	if ok && s.wrote {
		ok = b.n.durable.settle(s.disks) == nil
	}
	if len(s.leases) > 0 && ok {
		mono, offset := multiraft.CheckClock()
		for _, t := range s.leases {
			ok = ok && t.lease.Check(mono, offset)
		}
	}
	s.stint.end()
	s.tellWritten()
	clear(s.leases)
	s.leases = s.leases[:0]
	clear(s.last)
	wrote := s.wrote
	s.wrote, s.disks = false, false
	switch {
	case ok:
		return nil
	case outcome.Refused():
		return redis.ErrNoReplicas
	case wrote:
		return redis.ErrUnknown
	}
	return redis.ErrStale
}

// tellWritten says under which leases the writes since the last Commit were.
func (s *session) tellWritten() {
	for i := range s.leases {
		if t := &s.leases[i]; t.epoch != 0 {
			s.written.under(t.group, t.lease, t.epoch)
			t.epoch = 0 // WAIT may tell of it before Commit does
		}
	}
}

// Park implements redis.Backend.
func (b backend) Park(rs *redis.Session, first time.Time) error {
	s := state(rs)
	limit, answer := parkMax, redis.ErrDown
	if s.wait.delayed {
		limit, answer = delayMax, redis.ErrNoReplicas
	}
	if patient(rs) {
		limit = 0
	}
	left := limit - time.Since(first)
	if left <= 0 {
		return answer
	}
	b.n.wakes.wait(s.wait.group, s.wait.seq, left, b.n.core.Data())
	return nil
}

// FlushAll implements redis.Backend.
func (b backend) FlushAll(rs *redis.Session) (flushed int, err error) {
	for i := range b.n.routes.Load().Layout().Shards {
		shard := shardmap.ShardID(i)
		if _, mine := b.serves(shard); !mine {
			continue
		}
		switch err := b.Flush(rs, shard); {
		case err == nil:
			flushed++
		case !errors.As(err, new(*redis.MovedError)):
			return flushed, err
		}
	}
	return flushed, nil
}

// Flush implements redis.Backend.
func (b backend) Flush(rs *redis.Session, shard shardmap.ShardID) error {
	s := state(rs)
	slot, r, err := b.shard(shard)
	if err != nil {
		return err
	}
	s.cmd = statemachine.Command{Kind: statemachine.Flush, Origin: uint64(rs.ID)}
	a, err := r.Do(shard, &s.cmd, s.level.copies, &s.res, s.clock())
	if err != nil {
		return b.refuse(s, slot, a, err)
	}
	under := s.touch(r, a.Lease)
	if s.res.Changed {
		b.note(s, r, shard, a, under)
	}
	return nil
}

// Wait implements redis.Backend: the smallest number of followers that hold all this
// session wrote, over the shards it wrote. After a lease ended under a write of the
// session it says so, once.
func (b backend) Wait(rs *redis.Session, n int, timeout time.Duration) (int, error) {
	s := state(rs)
	held, ok := b.awaitWritten(s, n, timeout)
	if !ok {
		s.written.unblocked()
		return 0, redis.ErrUnblocked
	}
	return held, nil
}

// awaitWritten is Wait; false when a lease ended.
func (b backend) awaitWritten(s *session, n int, timeout time.Duration) (held int, ok bool) {
	s.fresh = false
	s.tellWritten()
	now := s.clock()
	deadline := time.Duration(0)
	if timeout > 0 {
		deadline = now.Mono + timeout
	}
	first := len(s.tickets) // those of writes that EXEC made before are Commit's
	for shard, w := range s.written.all {
		if w.lease == nil {
			continue
		}
		r := b.n.core.Data().ReplicaOf(shard)
		if r == nil || w.ended || w.lease.Closed() {
			b.collect(s, first)
			return 0, false
		}
		b.await(s, r, w.lease, shardgroup.Ticket{Shard: shard, Version: w.version, Level: shardgroup.Seats, Need: n, Deadline: deadline})
	}
	if b.collect(s, first) == shardgroup.Unknown {
		return 0, false
	}
	return b.holding(s, n)
}

func (b backend) holding(s *session, none int) (least int, ok bool) {
	least, any := none, false
	for shard, w := range s.written.all {
		if w.lease == nil {
			continue
		}
		r := b.n.core.Data().ReplicaOf(shard)
		if r == nil {
			return 0, false
		}
		n, ok := r.Holding(w.lease, shard, w.version)
		if !ok {
			return 0, false
		}
		if !any || n < least {
			least, any = n, true
		}
	}
	if !any {
		return b.followers(), true
	}
	return least, true
}

// followers is what WAIT answers a connection that wrote nothing.
func (b backend) followers() int {
	return max(0, min(b.n.cfg.ReplicationFactor, len(b.n.routes.Load().Nodes()))-1)
}
