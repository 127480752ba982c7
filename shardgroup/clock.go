package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// ceilingSlack is how far H lies above the shard time, beyond L.
const ceilingSlack = 200 * time.Millisecond

// leapMax is the most a step of the wall clock may add to shard time beyond the
// time that passed, asleep or awake.
const leapMax = time.Second

// keepTime follows the wall clock without its leaps.
func (n *Node) keepTime(now multiraft.Instant) {
	last, passed := n.wall.Load(), now.Mono+now.SuspendOffset
	if last == 0 {
		n.wall.Store(now.Wall)
	} else {
		step := (passed - n.lastTick + leapMax).Milliseconds()
		n.wall.Store(max(last, min(now.Wall, last+step)))
	}
	n.lastTick = passed
}

// Start tells the time before anything else happens: with no idea of it a node that alone
// is a quorum would hold shard time back, up to its first Tick, to what its copies knew.
func (n *Node) Start(now multiraft.Instant) { n.wall.CompareAndSwap(0, now.Wall) }

// Ceiling implements multiraft.Data: H, not below any time this node's shards may
// use before the next heartbeat (hole 24). A shard that began above the wall clock
// stands still until the clock has caught up: with slack on top of that, shard time
// would run ahead with each takeover.
func (n *Node) Ceiling() int64 {
	return max(n.wall.Load()+(n.cfg.Lease+ceilingSlack).Milliseconds(), n.timeMax.Load())
}

// CeilingAcked implements multiraft.Data.
func (n *Node) CeilingAcked(g shardmap.GroupID, h int64) {
	if r := n.Replica(g); r != nil {
		r.ceiling.Store(h)
	}
}

// CeilingHeard implements multiraft.Data.
func (n *Node) CeilingHeard(peer shardmap.NodeID, h int64) { raise(&n.laneTo(peer).ceilingHeard, h) }

// tick writes a Tick: which shards of ours the peer has all of, and so may take
// to this time (L11). It is written behind every record sent so far. With it go
// the digest of one shard in turn, and of one shard per group for a copy that was
// not compared yet and waits for its Admit.
func (l *lane) tick(now multiraft.Instant) {
	t := tickHead{stamp: int64(now.Mono), echo: l.echo(), time: min(now.Wall, l.n.wall.Load())}
	w := &l.msg
	l.digests.b = l.digests.b[:0]
	at := w.open(msgTick)
	w.tickHead(&t)
	led := 0
	for _, r := range l.n.all() {
		if !r.leads.Load() {
			continue
		}
		g := tickGroup{group: r.g}
		for i, s := range r.shards {
			s.mu.Lock()
			if f := s.tickFor(l, &t, now); f != nil {
				g.shards.put(i, true)
				if led == l.turn || i == 0 && !f.matched {
					s.digestInto(&l.digests)
				}
				led++
			}
			s.mu.Unlock()
		}
		if !g.shards.empty() {
			t.groups++
			w.u16(uint16(g.group))
			w.mask(g.shards)
		}
	}
	if l.turn++; l.turn >= led {
		l.turn = 0
	}
	head := writer{b: w.b[:at]}
	head.tickHead(&t)
	w.b = append(w.b, l.digests.b...)
	w.shut(at)
	l.put()
}

// tickFor lets shard time pass and gives the peer's view back if the peer may
// follow: its cursor is at the head, and the shard has reached the Tick's time. Under
// a lease that has run out nothing is said: another holder may write elsewhere, and
// what the peer has would not be what it is told to be. now alone does not tell that (see
// beginLap).
func (s *shard) tickFor(l *lane, t *tickHead, now multiraft.Instant) *follower {
	f := s.follower(l.peer)
	if !s.serving() || f == nil || f.mode != modeTail || f.off != s.ring.end || !s.r.vouched.Load() || !s.lease.Check(now.Mono, now.SuspendOffset) {
		return nil
	}
	s.m.AdvanceTime(min(t.time, s.r.ceiling.Load()))
	if s.m.Time() < t.time {
		return nil
	}
	return f
}

// digestInto says what the copy comes to now; nothing while many dead keys are
// still to be swept, which is not done in one go under the shard's mutex.
func (s *shard) digestInto(w *writer) {
	if s.sweep() {
		return
	}
	w.tickDigest(&tickDigest{shard: s.id, at: s.m.Position(), time: s.m.Time(), digest: s.m.Digest()})
}

// onTick follows the holder's time where this copy has all of its records.
func (n *Node) onTick(l *lane, conn uint64, r *reader) {
	t := r.tickHead()
	for range t.groups {
		g := r.tickGroup()
		rep := n.Replica(g.group)
		if rep == nil || r.bad {
			continue
		}
		for i, s := range rep.shards {
			if !g.shards.has(i) {
				continue
			}
			s.mu.Lock()
			if s.in.lane == l && s.in.conn == conn && s.caughtUp() {
				s.m.AdvanceTime(t.time)
				s.sweep()
				s.fresh = time.Duration(t.echo)
			}
			s.mu.Unlock()
		}
	}
	for len(r.b) > 0 && !r.bad {
		if d := r.tickDigest(); !r.bad {
			n.compare(l, conn, &d)
		}
	}
	if !r.bad {
		l.stamp.Store(t.stamp)
		l.ackDue.Store(true)
		l.wakeAck(false)
	}
}

// caughtUp says that the copy took all that it was sent. The holder lists a shard when it
// has sent all that there is, and may not have heard yet that a record did not follow or
// that a revert could not be done.
func (s *shard) caughtUp() bool { return !s.broken && s.m.Position() >= s.headSeen }

// compare holds a copy's digest against the holder's, if it is at the same
// position and time.
func (n *Node) compare(l *lane, conn uint64, d *tickDigest) {
	s := n.ReplicaOf(d.shard).shard(d.shard)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in.lane != l || s.in.conn != conn || !s.whole || s.m.Position() != d.at {
		return
	}
	s.m.AdvanceTime(d.time)
	switch {
	case s.sweep() || s.m.Time() != d.time:
	case s.m.Digest() == d.digest:
		if !s.matched {
			s.matched = true
			s.ack(l, false)
		}
	default:
		s.doubt("digest differs")
		s.ack(l, true)
	}
}

// sweep lets the time of a served group pass and removes what is dead by it, in
// bounded steps. No record goes out: followers sweep by the Ticks.
func (r *Replica) sweep(now multiraft.Instant) {
	for _, s := range r.shards {
		s.mu.Lock()
		if s.serving() {
			s.m.AdvanceTime(s.clock(now))
			s.sweep()
		}
		s.mu.Unlock()
	}
}
