package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Admission says under what an operation was admitted.
type Admission struct {
	Lease   Lease            // check it once more before the reply leaves
	Version shardmap.Version // of the write; for reads and no-ops the shard's position
	Holder  shardmap.NodeID  // with ErrMoved
	Wake    uint64           // with ErrParked and ErrDelayed
}

// Fresh is the check before the reply (C1): the same lease object, at a reading
// taken after the operation. false means that the outcome of a write is unknown
// and that a read must not be answered.
func (a Admission) Fresh(now multiraft.Instant) bool {
	if mutant.Is("M02") {
		return true
	}
	return a.Lease != nil && a.Lease.Check(now.Mono, now.SuspendOffset)
}

// Do executes a command at the leaseholder (L1). level only decides whether a
// write is refused for lack of seats; to wait for acks, give Admission.Version to
// Await. It allocates nothing when a key is overwritten by a value of its size.
func (r *Replica) Do(id shardmap.ShardID, c *statemachine.Command, level Level, res *statemachine.Result, now multiraft.Instant) (Admission, error) {
	s := r.shard(id)
	if s == nil {
		return Admission{}, ErrUnavailable
	}
	s.mu.Lock()
	a, err := s.do(c, level, res, now)
	s.mu.Unlock()
	return a, err
}

func (s *shard) do(c *statemachine.Command, level Level, res *statemachine.Result, now multiraft.Instant) (Admission, error) {
	if a, err := s.admit(now); err != nil {
		return a, err
	}
	if a, err := s.admitWrite(level, now); err != nil {
		return a, err
	}
	head := s.m.Position()
	if err := s.m.Execute(c, shardmap.MakeVersion(s.epoch, head.Seq()+1), s.pass(now), res); err != nil {
		return Admission{Lease: s.proof(), Version: head}, err // it says something of the data, as a read does
	}
	if !res.Changed {
		return Admission{Lease: s.proof(), Version: head}, nil
	}
	s.push(&res.Record, now)
	return Admission{Lease: s.proof(), Version: res.Record.Version}, nil
}

// admit says whether this node may serve the shard at this moment.
func (s *shard) admit(now multiraft.Instant) (Admission, error) {
	if s.lease == nil {
		return s.r.away()
	}
	if s.parked || !s.lease.Check(now.Mono, now.SuspendOffset) {
		return Admission{Wake: s.r.wakeSeq.Load()}, ErrParked
	}
	return Admission{}, nil
}

// admitWrite says whether the shard takes one more write now.
func (s *shard) admitWrite(level Level, now multiraft.Instant) (Admission, error) {
	if level != Async && s.q.short {
		return Admission{}, ErrNoReplicas
	}
	if s.n.clogs() {
		return Admission{Wake: s.r.wakeSeq.Load()}, ErrDelayed
	}
	if s.overBound(now.Mono) {
		probeDelayed.Hit()
		s.delayed = true
		s.r.delayed.Store(true)
		return Admission{Wake: s.r.wakeSeq.Load()}, ErrDelayed
	}
	if s.m.Position().Seq() >= s.n.seqMax {
		s.r.renew.Store(true)
		return Admission{Wake: s.r.wakeSeq.Load()}, ErrParked
	}
	return Admission{}, nil
}

// pass lets shard time pass to the time of an operation, whether or not it changes
// anything: a key that was answered to be dead must be dead at the next holder,
// which takes this copy's time when it can (startTime).
func (s *shard) pass(now multiraft.Instant) int64 {
	t := s.clock(now)
	s.m.AdvanceTime(t)
	return t
}

// push puts the record of a change into the ring and tells the followers' lanes.
func (s *shard) push(rec *statemachine.Record, now multiraft.Instant) {
	if s.unread() {
		s.pushUnread(rec)
		return
	}
	room := s.ring.reserve(s, sizeBound(rec))
	off := s.ring.end
	raw := statemachine.AppendRecord(room, rec)
	n := len(raw)
	s.ring.commit(n)
	s.writeRecord(raw)
	s.tail.note(off, now.Mono)
	s.countTail(n)
	for _, f := range s.followers {
		f.lane.markData(s.id)
	}
	if len(s.q.seats) == 1 {
		s.advance()
	}
}

// sizeBound is at least what a record takes encoded, in bytes.
func sizeBound(rec *statemachine.Record) int {
	return recordHead + recordExtra + len(rec.Key) + len(rec.Value) + 16*(len(rec.Evicted)+len(rec.Protected))
}

// unread says that nobody will ever ask for the records of this shard: no other node is
// to have a copy, so that whoever gets one gets it in bulk.
func (s *shard) unread() bool {
	return s.sole && len(s.followers) == 0 && len(s.q.seats) == 1
}

// pushUnread gives a record that nobody will ask for to the log alone. Without a log it is
// not even encoded, which was a sixth of a pipelined SET; with one, the ring would keep it
// once more, and held would be counted through it.
func (s *shard) pushUnread(rec *statemachine.Record) {
	s.ring.skip(s, rec.Version)
	if s.n.log == nil {
		s.advance()
		return
	}
	b := s.n.encoded.Get().(*[]byte)
	*b = statemachine.AppendRecord((*b)[:0], rec)
	s.writeRecord(*b)
	if cap(*b) <= encodedKept {
		s.n.encoded.Put(b)
	}
}

// encodedKept is the largest buffer of a record that is kept for the next one, in bytes:
// what the pool holds counts in no budget.
const encodedKept = 1 << 20

// proof is the lease object that the reply will be checked against (P3).
func (s *shard) proof() Lease {
	if mutant.Is("opaba") {
		return anyBallot{s.lease, s.r}
	}
	return s.lease
}

// anyBallot is the seeded bug opaba: whatever lease the node has by then will do.
type anyBallot struct {
	Lease
	r *Replica
}

func (a anyBallot) Check(mono, offset time.Duration) bool {
	l := a.r.Lease()
	return l != nil && l.Check(mono, offset)
}

// unchecked is the seeded bug M01: a read's lease that is always good.
type unchecked struct{ Lease }

func (unchecked) Check(_, _ time.Duration) bool { return true }

// Get looks a key up at the leaseholder, which is a hit of it unless it is quiet. The
// value is appended to dst: nothing of the shard is touched after the call. The reply
// needs a fresh lease check.
func (r *Replica) Get(id shardmap.ShardID, key, dst []byte, quiet bool, now multiraft.Instant) (val statemachine.Value, found bool, a Admission, err error) {
	s := r.shard(id)
	if s == nil {
		return val, false, a, ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err = s.admit(now); err != nil && !(mutant.Is("M01") && s.lease != nil) {
		return val, false, a, err
	}
	a, err = Admission{Lease: s.proof(), Version: s.m.Position()}, nil
	if mutant.Is("M01") {
		a.Lease = unchecked{s.lease}
	}
	val, found = s.m.Lookup(key, quiet, s.pass(now))
	val.Data = append(dst, val.Data...)
	return val, found, a, nil
}
