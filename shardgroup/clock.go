package shardgroup

import (
	"math"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// ceilingSlack is how far H lies above the shard time, beyond L.
const ceilingSlack = 200 * time.Millisecond

// leapMax is the most a step of the wall clock may add to shard time beyond the
// monotonic time that passed.
const leapMax = time.Second

// keepTime follows the wall clock without its leaps.
func (n *Node) keepTime(now multiraft.Instant) {
	last := n.wall.Load()
	if last == 0 {
		n.wall.Store(now.Wall)
	} else {
		step := (now.Mono - n.lastTick + leapMax).Milliseconds()
		n.wall.Store(max(last, min(now.Wall, last+step)))
	}
	n.lastTick = now.Mono
}

// Ceiling implements multiraft.Data: H, above every time this node's shards may
// use before the next heartbeat (hole 24).
func (n *Node) Ceiling() int64 {
	return max(n.wall.Load(), n.timeMax.Load()) + (n.cfg.Lease + ceilingSlack).Milliseconds()
}

// CeilingAcked implements multiraft.Data.
func (n *Node) CeilingAcked(peer shardmap.NodeID, h int64) { raise(&n.laneTo(peer).ceilingAcked, h) }

// CeilingHeard implements multiraft.Data.
func (n *Node) CeilingHeard(peer shardmap.NodeID, h int64) { raise(&n.laneTo(peer).ceilingHeard, h) }

// setCeiling works out the shard time that the lease quorum knows of. A voter
// that never said anything about it sets no limit: its heartbeats carry none.
func (r *Replica) setCeiling() {
	c := min(r.ceilingOf(r.cfg.Voters), r.ceilingOf(r.cfg.Outgoing))
	r.ceiling.Store(c)
}

func (r *Replica) ceilingOf(voters []multiraft.ReplicaDesc) int64 {
	if len(voters) == 0 {
		return math.MaxInt64
	}
	h := make([]int64, 0, 8)
	for _, v := range voters {
		acked := int64(math.MaxInt64)
		if v.Node != r.n.cfg.Self.Node {
			if a := r.n.laneTo(v.Node).ceilingAcked.Load(); a != 0 {
				acked = a
			}
		}
		h = append(h, acked)
	}
	slices.Sort(h)
	return h[len(h)-writeQuorum(len(h))]
}

// tick writes a Tick: which shards of ours the peer has all of, and so may take
// to this time (L11). It is written behind every record sent so far.
func (l *lane) tick(now multiraft.Instant) {
	n := l.n
	t := tickHead{stamp: int64(now.Mono), time: min(now.Wall, n.wall.Load())}
	w := &l.msg
	at := w.open(msgTick)
	headAt := len(w.b)
	w.tickHead(&t)
	led, turn := 0, l.digest
	for _, r := range n.all() {
		if !r.leads.Load() {
			continue
		}
		g := tickGroup{group: r.g}
		for i, s := range r.shards {
			s.mu.Lock()
			if s.tickFor(l, &t, now) {
				g.shards.put(i, true)
				if led == turn {
					s.m.Settle()
					t.shard, t.at, t.atTime, t.digest = s.id, s.m.Position(), s.m.Time(), s.m.Digest()
				}
				led++
			}
			s.mu.Unlock()
		}
		if g.shards != 0 {
			w.u16(uint16(g.group))
			w.u64(uint64(g.shards))
		}
	}
	if l.digest++; l.digest >= led {
		l.digest = 0
	}
	head := writer{b: w.b[:headAt]}
	head.tickHead(&t)
	w.shut(at)
	if len(w.b) == headAt+tickHeadBytes && !n.leadsAny() {
		w.b = w.b[:0]
		return
	}
	l.put()
}

const tickHeadBytes = 8 + 8 + 2 + 8 + 8 + 8

// tickFor lets shard time pass and says whether the peer may follow: its cursor
// is at the head, and the shard has reached the Tick's time.
func (s *shard) tickFor(l *lane, t *tickHead, now multiraft.Instant) bool {
	f := s.follower(l.peer)
	if !s.serving() || f == nil || f.mode != modeTail || f.off != s.ring.end {
		return false
	}
	s.m.AdvanceTime(min(t.time, s.r.ceiling.Load()))
	return s.m.Time() >= t.time
}

// onTick follows the holder's time where this copy has all of its records.
func (n *Node) onTick(l *lane, conn uint64, r *reader) {
	t := r.tickHead()
	for len(r.b) > 0 && !r.bad {
		g := r.tickGroup()
		rep := n.Replica(g.group)
		if rep == nil || r.bad {
			continue
		}
		for i, s := range rep.shards {
			if g.shards.has(i) {
				s.mu.Lock()
				if s.in.lane == l && s.in.conn == conn {
					s.follow(&t)
				}
				s.mu.Unlock()
			}
		}
	}
	if !r.bad {
		l.stamp.Store(t.stamp)
		l.ackDue.Store(true)
		l.wakeAck(false)
	}
}

// follow takes the copy to a Tick's time, and compares digests when it is its turn.
func (s *shard) follow(t *tickHead) {
	s.m.AdvanceTime(t.time)
	s.headSeen = max(s.headSeen, s.m.Position())
	if t.at == 0 || t.shard != s.id || !s.whole || s.m.Position() != t.at {
		s.m.Sweep(sweepStep)
		return
	}
	s.m.AdvanceTime(t.atTime)
	s.m.Settle()
	switch {
	case s.m.Time() != t.atTime:
	case s.m.Digest() == t.digest:
		if !s.matched {
			s.matched = true
			s.in.lane.markAck(s.id, false)
		}
	default:
		s.doubt("digest differs")
		s.in.lane.markAck(s.id, true)
	}
}

// sweep lets the time of a served group pass and removes what is dead by it, in
// bounded steps. No record goes out: followers sweep by the Ticks.
func (r *Replica) sweep(now multiraft.Instant) {
	for _, s := range r.shards {
		s.mu.Lock()
		if s.serving() {
			s.m.AdvanceTime(s.clock(now))
			s.m.Sweep(sweepStep)
		}
		s.mu.Unlock()
	}
}
