package shardgroup

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// report says what the last Open could not save (T10). The caller holds mu.
func (r *Replica) report() []LossReport {
	last := r.line.last()
	if last == nil || last.begins() { // what was lost is not decided yet
		return nil
	}
	var list []LossReport
	for i, s := range r.shards {
		l := LossReport{
			Shard: s.id, Base: last.base[i], AtLeast: last.lost[i],
			Bounded: last.bounded.has(i), Clean: last.clean.has(i), Hole: last.hole.has(i),
		}
		if l.AtLeast > 0 || !l.Bounded || !l.Clean || l.Hole {
			list = append(list, l)
		}
	}
	return list
}

// Verdict judges a version (AEGIS.CHECK). Lost may be said by anyone; the rest
// needs the holder: Admission.Lease must be checked afresh, or ErrMoved is returned.
func (r *Replica) Verdict(id shardmap.ShardID, v shardmap.Version, now multiraft.Instant) (Verdict, Admission, error) {
	s := r.shard(id)
	if s == nil {
		return VerdictUnknown, Admission{}, ErrUnavailable
	}
	r.mu.Lock()
	verdict, open := r.line.judge(s.idx, v)
	epoch := r.line.epoch()
	r.mu.Unlock()
	if verdict == VerdictLost {
		return verdict, Admission{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err := s.admit(now); err != nil {
		return VerdictUnknown, a, err
	}
	if s.epoch != epoch { // the lineage has another row by now
		return VerdictUnknown, Admission{Wake: r.wakeSeq.Load()}, ErrParked
	}
	a := Admission{Lease: s.lease, Version: s.m.Position()}
	switch {
	case !open || v.Epoch() > epoch || v > s.m.Position():
		return VerdictUnknown, a, nil
	case v <= s.held:
		s.answered = max(s.answered, v) // told as final: seats may not change below it (L8)
		return VerdictDurable, a, nil
	}
	return VerdictPending, a, nil
}

// Len is the number of keys of the group's shards here.
func (r *Replica) Len() int {
	n := 0
	for _, s := range r.shards {
		s.mu.Lock()
		n += s.m.Len()
		s.mu.Unlock()
	}
	return n
}

// Evicted is how many entries this replica has evicted as their holder, since it was made.
func (r *Replica) Evicted() (n int64) {
	for _, s := range r.shards {
		s.mu.Lock()
		n += s.m.Evicted()
		s.mu.Unlock()
	}
	return n
}

// Holdings are those of this replica's stores, and whether any of its shards has
// ever taken a write. It takes one shard's mutex after the other and allocates nothing.
func (r *Replica) Holdings() (sum lru.Holdings, written bool) {
	for _, s := range r.shards {
		s.mu.Lock()
		sum.Add(s.m.Holdings())
		written = written || s.m.Position().Seq() > 0
		s.mu.Unlock()
	}
	return sum, written
}

// Keys is the number of keys of one shard here.
func (r *Replica) Keys(id shardmap.ShardID) int {
	s := r.shard(id)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Len()
}

// Each calls yield for every key of a shard as this copy has it, under the
// shard's mutex; for checkers that compare replicas.
func (r *Replica) Each(id shardmap.ShardID, yield func(key, value []byte, v shardmap.Version, deadline int64)) {
	if s := r.shard(id); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.m.EachKey(yield)
	}
}

// CopyDigest is the digest of a shard copy with its position and time, dead keys
// swept: equal positions and times mean equal digests.
func (r *Replica) CopyDigest(id shardmap.ShardID) (digest uint64, at shardmap.Version, time int64, whole bool) {
	s := r.shard(id)
	if s == nil {
		return 0, 0, 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Settle()
	return s.m.Digest(), s.m.Position(), s.m.Time(), s.whole
}

// Filled reports whether the node's copy is whole, acked in the own epoch up to
// all that was ever answered, and compared by digest: it may take a seat (L7).
func (r *Replica) Filled(node shardmap.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil {
		return false
	}
	_, ok := r.filled(node)
	return ok || node == r.n.cfg.Self.Node
}

// SetSeats says which nodes should have seats. The holder drives the group there
// one Seats entry at a time, each as soon as the newcomers are Filled (L8). It may
// be said again and again: nothing is allocated for the same seats.
func (r *Replica) SetSeats(nodes []shardmap.NodeID) {
	var room [maxSeats]shardmap.NodeID
	target := append(room[:0], nodes...)
	slices.Sort(target)
	target = slices.Compact(target)
	if len(target) >= maxSeats {
		target = target[:maxSeats-1]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.target, target) {
		r.target = slices.Clone(target)
	}
}

// Seated reports whether the seats are the ones last asked for.
func (r *Replica) Seated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seated()
}

// SetBudget changes the byte budget of each shard copy. At the holder shrinking
// evicts in bounded steps; followers follow its records.
func (r *Replica) SetBudget(bytes int64) {
	for _, s := range r.shards {
		s.mu.Lock()
		s.budget(bytes)
		s.mu.Unlock()
	}
}

// Park holds new operations back for a planned move; false when not serving.
func (r *Replica) Park(now multiraft.Instant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil {
		return false
	}
	r.park(true)
	r.n.out.Event(Event{Kind: EventParked, Group: r.g, Epoch: r.lead.epoch, Node: r.n.cfg.Self.Node})
	return true
}

// Unpark lets operations in again after a move that did not happen.
func (r *Replica) Unpark(now multiraft.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead != nil && !r.renew.Load() {
		r.park(false)
		r.n.out.Event(Event{Kind: EventUnparked, Group: r.g, Epoch: r.lead.epoch, Node: r.n.cfg.Self.Node})
	}
}

// Flushed reports whether the node has everything: parked, and its whole copy
// acked at the head of every shard. Then multiraft may hand the lease over.
func (r *Replica) Flushed(node shardmap.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lead != nil && (r.lead.parked || mutant.Is("M19")) && r.behind(node) == 0
}

// behind is how many bytes of records a seat has not acked; -1 when its copy is
// no whole one of an admitted incarnation in every shard.
func (r *Replica) behind(node shardmap.NodeID) int64 {
	m, ok := r.line.seat(node)
	if !ok {
		return -1
	}
	n := int64(0)
	for _, s := range r.shards {
		s.mu.Lock()
		f := s.follower(node)
		good := f != nil && f.whole && f.inc == m.Inc && f.mode == modeTail
		if good && f.acked != s.m.Position() {
			n += 1 + int64(s.ring.end-f.off)
		}
		s.mu.Unlock()
		if !good {
			return -1
		}
	}
	return n
}

// Successors lists the seats that are whole and closest to the head, best first.
func (r *Replica) Successors() []shardmap.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil {
		return nil
	}
	type one struct {
		node   shardmap.NodeID
		behind int64
	}
	var list []one
	for _, m := range r.line.seats {
		if m.Node == r.n.cfg.Self.Node {
			continue
		}
		if b := r.behind(m.Node); b >= 0 {
			list = append(list, one{m.Node, b})
		}
	}
	slices.SortStableFunc(list, func(a, b one) int {
		return int(min(1, max(-1, a.behind-b.behind)))
	})
	nodes := make([]shardmap.NodeID, len(list))
	for i := range list {
		nodes[i] = list[i].node
	}
	return nodes
}

// Succeeds reports whether a node is among the Successors.
func (r *Replica) Succeeds(node shardmap.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lead != nil && node != r.n.cfg.Self.Node && r.behind(node) >= 0
}

// Whole says whether every shard of this copy is exact and on the lineage: it
// could lead.
func (r *Replica) Whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.shards {
		s.mu.Lock()
		pos, whole := s.m.Position(), s.whole
		s.mu.Unlock()
		if cut, known := r.line.cut(i, pos); !whole || !known || cut != pos {
			return false
		}
	}
	return true
}

// Status describes the replica.
func (r *Replica) Status(now multiraft.Instant) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := Status{
		Group: r.g, Phase: r.phase(), Role: r.role, Promised: r.promised, Epoch: r.line.epoch(),
		Seats: slices.Clone(r.line.seats), Rows: len(r.line.rows), Report: r.report(),
	}
	if last := r.line.last(); last != nil {
		st.Holder, st.Clean = last.holder.Node, last.clean == r.line.all()
	}
	for i, s := range r.shards {
		s.mu.Lock()
		sh := ShardStatus{
			Shard: s.id, Position: s.m.Position(), Whole: s.whole, Time: s.m.Time(),
			Keys: s.m.Len(), Bytes: s.m.HeldBytes(), RingBytes: s.ring.bytes(),
			Solo: r.line.solo.has(i), Thin: r.line.thin.has(i),
		}
		if s.serving() {
			sh.Held, sh.TailBytes = s.held, s.tailOf()
		}
		s.mu.Unlock()
		st.Shards = append(st.Shards, sh)
	}
	if r.lead != nil {
		st.Followers = r.followers(now.Mono)
		_, st.FillRate = r.fills.read(now.Mono)
	}
	return st
}

func (r *Replica) phase() Phase {
	switch {
	case r.lead != nil && r.lead.parked:
		return Parked
	case r.lead != nil:
		return Serving
	case r.take != nil && r.take.proposed:
		return Opening
	case r.take != nil:
		return Collecting
	}
	return Following
}

func (r *Replica) followers(now time.Duration) []FollowerStatus {
	var list []FollowerStatus
	for _, l := range *r.n.lanes.Load() {
		if !r.streamsTo(l.peer) {
			continue
		}
		fs := FollowerStatus{Node: l.peer, Whole: true, CaughtUp: true}
		for _, s := range r.shards {
			s.mu.Lock()
			if f := s.follower(l.peer); f == nil {
				fs.Whole, fs.CaughtUp = false, false
			} else {
				fs.Inc = f.inc
				fs.Whole = fs.Whole && f.whole
				fs.CaughtUp = fs.CaughtUp && f.keepsUp(s.m.Position(), now)
				fs.Lag += int64(s.ring.end - max(f.off, s.ring.start()))
			}
			s.mu.Unlock()
		}
		fs.Seat = r.line.counted(multiraft.Member{Node: l.peer, Inc: fs.Inc})
		list = append(list, fs)
	}
	return list
}

// Usage counts what the node holds beside its stores. Each ring keeps its newest
// block, and one more may be lent before an older one can be taken back.
func (n *Node) Usage() Usage {
	copies := int64(1)
	for _, r := range n.all() {
		copies += int64(len(r.shards))
	}
	n.pool.mu.Lock()
	defer n.pool.mu.Unlock()
	return Usage{
		RingBytes: n.pool.used, RingMost: max(n.pool.limit, copies*int64(n.pool.blockBytes)),
		TailBytes: n.tailBytes.Load(), Tickets: int(n.waiting.Load()), CatchUpBytes: n.catchUp.Load(),
	}
}

// FillRate is how many bytes a second this node sends of fills now, and may send (0 = any).
func (n *Node) FillRate(now multiraft.Instant) (rate, most int64) {
	_, rate = n.filled.read(now.Mono)
	return rate, n.pace.bytes.rate
}
