package shardgroup

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// acks are the positions that the seats hold, sorted downward, the holder's own
// among them; 0 for a seat whose word does not count now.
type acks struct {
	pos [maxSeats]shardmap.Version
	n   int
}

// collect takes the positions of a set of seats (L3): only whole copies of the
// admitted incarnation that acked in the holder's own epoch count, the holder's own as far
// as it is logged; durable says that only disks count.
func (s *shard) collect(seats []multiraft.Member, durable bool) (a acks) {
	for _, m := range seats {
		p := shardmap.Version(0)
		if m.Node == s.q.self {
			if p = s.logged(); durable {
				p = s.durable()
			}
		} else if f := s.follower(m.Node); f != nil && f.whole && f.inc == m.Inc && f.acked.Epoch() == s.epoch {
			if p = f.acked; durable {
				p = f.durable
			}
		}
		a.pos[a.n] = p
		a.n++
	}
	slices.SortFunc(a.pos[:a.n], func(x, y shardmap.Version) int {
		if x > y {
			return -1
		}
		return 1
	})
	return a
}

// at is the k-th largest position (from 1), 0 when there are not so many.
func (a *acks) at(k int) shardmap.Version {
	if k < 1 || k > a.n {
		return 0
	}
	return a.pos[k-1]
}

func (a *acks) held() shardmap.Version {
	w := writeQuorum(a.n)
	if mutant.Is("ack-before-majority") {
		w--
	}
	return a.at(w)
}

// advance recomputes held after an ack or a change of seats and answers tickets.
func (s *shard) advance() {
	if !s.serving() {
		return
	}
	now := s.tally(false)
	if now.held > s.held {
		s.raiseHeld(now.held)
	}
	if len(s.tickets) > 0 {
		s.answer(&now)
	}
}

// tally is what the seats hold; while others are proposed, those count as well (L8).
type tally struct {
	held       shardmap.Version // by a majority
	now, joint acks
}

func (s *shard) tally(durable bool) (t tally) {
	t.now = s.collect(s.q.seats, durable)
	t.held = t.now.held()
	if s.q.joint != nil && !mutant.Is("seats-without-joint-count") {
		t.joint = s.collect(s.q.joint, durable)
		t.held = min(t.held, t.joint.held())
	}
	return t
}

// raiseHeld moves held up to h and its ring offset with it.
func (s *shard) raiseHeld(h shardmap.Version) {
	s.held = h
	off := max(s.heldOff, s.ring.start())
	if h == s.m.Position() { // as a rule, when few write: the records need not be read once more
		off = s.ring.end
	}
	for off < s.ring.end {
		run := s.ring.from(off)
		if versionOf(run) > h {
			break
		}
		off += uint64(statemachine.RecordSize(run))
	}
	s.setHeld(off)
	if s.delayed {
		s.delayed = false
		s.r.wake()
	}
}

// answer gives the due tickets back (L4).
func (s *shard) answer(now *tally) {
	disks := tally{}
	if s.forcing {
		disks = s.tally(true)
	}
	keep := s.tickets[:0]
	s.urgent, s.forcing = false, false
	for _, t := range s.tickets {
		if s.reached(&t, now, &disks) {
			s.done(t, Acked)
			continue
		}
		keep = append(keep, t)
		s.urgent, s.forcing = true, s.forcing || t.Durable
	}
	s.tickets = keep
}

// reached says whether a ticket's level is reached, and remembers what was answered.
func (s *shard) reached(t *Ticket, now, disks *tally) bool {
	if mutant.Is("M06") {
		return true
	}
	if t.Durable {
		now = disks
	}
	var p shardmap.Version
	switch t.Level {
	case Majority:
		p = now.held
	case All:
		if p = now.now.at(now.now.n); now.joint.n > 0 {
			p = min(p, now.joint.at(now.joint.n))
		}
	case Seats:
		return s.tell(t.Version) >= t.Need
	default:
		return true
	}
	if p.Epoch() != s.epoch || p < t.Version {
		return false
	}
	s.answered = max(s.answered, t.Version)
	return true
}

// tell is holding for an answer to a client: a number that means a majority is as
// good as a majority's ack, and no change of seats may make it untrue (L8).
func (s *shard) tell(v shardmap.Version) int {
	n := s.holding(v)
	if n+1 >= writeQuorum(len(s.q.seats)) {
		s.answered = max(s.answered, v)
	}
	return n
}

// holding counts the whole seats besides the holder that hold v; while seats are
// proposed, those of the set that has fewer (L8).
func (s *shard) holding(v shardmap.Version) int {
	n := s.holdingOf(s.q.seats, v)
	if s.q.joint != nil && !mutant.Is("seats-without-joint-count") {
		n = min(n, s.holdingOf(s.q.joint, v))
	}
	return n
}

func (s *shard) holdingOf(seats []multiraft.Member, v shardmap.Version) int {
	n := 0
	for _, m := range seats {
		if m.Node == s.q.self {
			continue
		}
		if f := s.follower(m.Node); f != nil && f.whole && f.inc == m.Inc && f.acked.Epoch() == s.epoch && f.acked >= v {
			n++
		}
	}
	return n
}

// done gives a ticket back.
func (s *shard) done(t Ticket, o Outcome) {
	s.n.waiting.Add(-1)
	s.n.out.Due(t, o)
}

// maxTickets bounds what waits on one shard; beyond it a ticket is pending at once.
const maxTickets = 1 << 16

// Await registers a ticket of a write that Do admitted under lease l. It answers
// at once when it can; Waiting means that Out.Due will be called exactly once.
func (r *Replica) Await(l Lease, t Ticket, now multiraft.Instant) Outcome {
	s := r.shard(t.Shard)
	if s == nil {
		return Unknown
	}
	if a, ok := l.(anyBallot); mutant.Enabled && ok {
		l = a.Lease
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.lease != l {
		return Unknown
	}
	counts, disks := s.tally(false), tally{}
	if t.Durable {
		disks = s.tally(true)
	}
	switch {
	case s.reached(&t, &counts, &disks):
		return Acked
	case t.Deadline != 0 && t.Deadline <= now.Mono, len(s.tickets) >= maxTickets:
		return Pending
	}
	s.tickets = append(s.tickets, t)
	s.n.waiting.Add(1)
	s.n.expires(t.Deadline)
	s.urgent = true
	if t.Durable {
		s.forcing = true
		s.toDisk()
		for _, f := range s.followers { // what was sent already did not say so
			f.lane.markData(s.id)
		}
	}
	return Waiting
}

// expires takes note of a ticket's deadline. The caller holds the mutex of its shard.
func (n *Node) expires(deadline time.Duration) {
	for at := n.expireAt.Load(); deadline != 0 && (at == 0 || int64(deadline) < at); at = n.expireAt.Load() {
		if n.expireAt.CompareAndSwap(at, int64(deadline)) {
			return
		}
	}
}

// expire gives back the tickets whose deadline has passed: pending, not undone.
func (n *Node) expire(now time.Duration) {
	if at := n.expireAt.Load(); at == 0 || int64(now) < at {
		return
	}
	n.expireAt.Store(0) // before the shards are asked: a ticket that comes meanwhile is not missed
	for _, r := range n.all() {
		for _, s := range r.shards {
			s.mu.Lock()
			s.expire(now)
			s.mu.Unlock()
		}
	}
}

func (s *shard) expire(now time.Duration) {
	keep := s.tickets[:0]
	for _, t := range s.tickets {
		if t.Deadline != 0 && t.Deadline <= now {
			probePending.Hit()
			s.done(t, Pending)
			continue
		}
		s.n.expires(t.Deadline)
		keep = append(keep, t)
	}
	s.tickets = keep
}

// Holding counts the whole seats besides the holder that hold v: WAIT's number.
// false when this node does not serve the shard under lease l any more.
func (r *Replica) Holding(l Lease, id shardmap.ShardID, v shardmap.Version) (int, bool) {
	s := r.shard(id)
	if s == nil {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.lease != l {
		return 0, false
	}
	if v > s.m.Position() {
		return 0, true // nobody wrote it, and nobody may be told of it (L8)
	}
	return s.tell(v), true
}

// Head is the position of a shard that this node serves, and its lease.
func (r *Replica) Head(id shardmap.ShardID) (shardmap.Version, Lease, bool) {
	s := r.shard(id)
	if s == nil {
		return 0, nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Position(), s.lease, s.lease != nil
}
