package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// copying is how one shard of the new holder gets to its base (T5).
type copying struct {
	base  shardmap.Version
	clean bool
	hole  bool
	done  bool

	bulk  shardmap.NodeID // exact copy to take as a whole first; 0 = the own one is exact
	began bool            // the own contents are being replaced
	lo    uint64          // next hash of the bulk copy
	asked time.Duration   // of the question under way; 0 = none
	whom  shardmap.NodeID
	tries int

	from shardmap.NodeID // whose contents the own ones are by now; 0 = still the own
}

// plan chooses where a shard's contents come from to get to a base; false when
// nobody has them.
func (r *Replica) plan(s int, base shardmap.Version) bool {
	t := r.take
	c := &t.copies[s]
	c.base = base
	if own := r.shards[s].at(); r.exact(t.reply(r.n.cfg.Self.Node), s) && own <= base && r.covered(s, own) {
		c.done = own == base
		return true
	}
	for _, p := range t.replies {
		pos := p.shards[s].pos
		if p.from.Node != r.n.cfg.Self.Node && !p.gone && r.exact(p, s) && pos <= base && r.covered(s, pos) {
			c.bulk = p.from.Node
			return true
		}
	}
	c.base = 0 // a hole's: everything before is declared lost
	return false
}

// at is the copy's position.
func (s *shard) at() shardmap.Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Position()
}

// covered says whether the records from pos to the base can be pulled.
func (r *Replica) covered(s int, pos shardmap.Version) bool {
	return pos == r.take.copies[s].base || r.tailSource(s, pos) != nil
}

// tailSource is a replica whose ring reaches from pos to the base or at least
// beyond pos. Divergent ones will do: their ring up to the base is the lineage's.
func (r *Replica) tailSource(s int, pos shardmap.Version) *reply {
	base := r.take.copies[s].base
	for _, p := range r.take.replies {
		c := &p.shards[s]
		cut, known := r.line.cut(s, c.pos)
		if p.from.Node != r.n.cfg.Self.Node && !p.gone && known && c.ringLow <= pos && cut >= base && c.pos >= base {
			return p
		}
	}
	return nil
}

// pullPatience is how long one question may stay unanswered, pullTries how often
// it is asked before its source is given up.
const (
	pullPatience = 100 * time.Millisecond
	pullTries    = 5
)

// pullTries is pullTries, and many more where a generation begins: what only a survivor
// that is far away has is lost with the Open, and there is no lease to be quick for.
func (r *Replica) pullTries() int {
	if last := r.line.last(); last != nil && last.begins() {
		return int(r.n.cfg.EmptyWait / pullPatience)
	}
	return pullTries
}

// gather asks for what is missing; it reports whether every shard is at its base.
func (r *Replica) gather(now multiraft.Instant) bool {
	ready := true
	for s := range r.shards {
		c := &r.take.copies[s]
		if c.done {
			continue
		}
		ready = false
		if c.asked != 0 && now.Mono < c.asked+pullPatience {
			continue
		}
		if c.asked != 0 && c.tries >= r.pullTries() {
			r.giveUp(c.whom)
			return false
		}
		if r.n.clogs() { // what is copied goes into the log, and could not be opened on before the disk has it
			r.n.awaits.Store(true)
			return false
		}
		r.question(s, now)
		if !r.take.decided {
			return false
		}
	}
	if !ready {
		return false
	}
	// Opening empty, or cutting what a better source could have saved, is worth
	// a wait while somebody may still come.
	for s := range r.shards {
		if r.take.copies[s].hole && !r.mayOpenEmpty(now) {
			r.take.decided = false
			return false
		}
	}
	return true
}

// mayOpenEmpty says whether the time has come to open a shard without contents (T6).
func (r *Replica) mayOpenEmpty(now multiraft.Instant) bool {
	cfg := &r.n.cfg
	if cfg.Recovery == RecoverStrict {
		return false
	}
	if r.seatsAnswered() {
		return now.Mono >= r.take.start+cfg.Deadline
	}
	return r.waitedForCopies(now)
}

// giveUp takes a replica off the sources and decides again.
func (r *Replica) giveUp(node shardmap.NodeID) {
	if p := r.take.reply(node); p != nil && r.n.cfg.Recovery != RecoverStrict {
		probeGone.Hit()
		p.gone = true
	}
	r.take.decided = false
	r.kick()
}

// refused takes note of what a source has not: the records, because other shards of
// its node took their block back since its Seal reply, or whole contents. The rest of
// what it said still holds, and may be all there is.
func (r *Replica) refused(p *reply, a *pullReply) {
	c := &p.shards[a.shard-r.first]
	switch {
	case a.pos == 0: // it restarted, or listens to a higher ballot
		r.giveUp(p.from.Node)
		return
	case a.bulk:
		c.whole = false
	default:
		c.ringLow = c.pos
	}
	probeRefused.Hit()
	r.take.decided = false
}

// question asks for the next piece of a shard.
func (r *Replica) question(s int, now multiraft.Instant) {
	c := &r.take.copies[s]
	q := pull{group: r.g, ballot: r.take.ballot, shard: r.shards[s].id, to: c.base}
	if c.bulk != 0 {
		q.bulk, q.lo, c.whom = true, c.lo, c.bulk
	} else {
		q.from = r.shards[s].at()
		src := r.tailSource(s, q.from)
		if src == nil {
			r.take.decided = false
			r.kick()
			return
		}
		c.whom = src.from.Node
	}
	if c.asked == 0 {
		c.tries = 0
	}
	c.tries++
	c.asked = now.Mono
	q.inc = r.take.reply(c.whom).proc
	w := writer{}
	w.pull(&q)
	r.n.out.Control(c.whom, w.b)
}

// OnControl brings a frame that the peer's node gave to Out.Control.
func (n *Node) OnControl(peer shardmap.NodeID, frame []byte, now multiraft.Instant) error {
	r := reader{b: frame}
	if r.u8() != frameFormat {
		return ErrFrame
	}
	switch r.u8() {
	case controlPull:
		if q := r.pull(); !r.bad {
			n.onPull(peer, &q)
		}
	case controlReply:
		if a := r.pullReply(); !r.bad {
			n.onPullReply(peer, &a, now)
		}
	default:
		r.bad = true
	}
	if r.bad {
		return ErrFrame
	}
	return nil
}

// onPull serves a new holder that has sealed this replica: the ring's records, or
// a range of the contents. A replica that restarted or was sealed again refuses
// (hole 34).
func (n *Node) onPull(peer shardmap.NodeID, q *pull) {
	a := pullReply{pull: *q}
	r := n.Replica(q.group)
	if r == nil {
		return
	}
	s := r.shard(q.shard)
	if s == nil {
		return
	}
	w := writer{}
	r.mu.Lock()
	if r.promised == q.ballot && q.inc == n.cfg.Process {
		s.mu.Lock()
		s.serve(&a)
		s.mu.Unlock()
	}
	r.mu.Unlock()
	w.pullReply(&a)
	n.out.Control(peer, w.b)
}

// serve fills the answer to a pull in.
func (s *shard) serve(a *pullReply) {
	a.pos, a.floor, a.time = s.m.Position(), s.floor, s.m.Time()
	if a.bulk {
		if a.ok = s.whole; a.ok {
			a.data, a.hi = s.m.Chunk(a.lo, s.n.cfg.FillBytes, nil)
		}
		return
	}
	off, have := s.ring.find(a.from, s.m.Position())
	if !have {
		return
	}
	a.ok = true
	s.ring.each(off, func(raw []byte) bool {
		if versionOf(raw) > a.to || len(a.data) > 0 && len(a.data)+len(raw) > frameMax {
			return false
		}
		a.data = append(a.data, raw...)
		return true
	})
}

// onPullReply takes what a source sent.
func (n *Node) onPullReply(peer shardmap.NodeID, a *pullReply, now multiraft.Instant) {
	r := n.Replica(a.group)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, s := r.take, r.shard(a.shard)
	if t == nil || s == nil || t.ballot != a.ballot || !t.decided || t.proposed {
		return
	}
	c := &t.copies[s.idx]
	p := t.reply(peer)
	if c.done || c.asked == 0 || c.whom != peer || p == nil || p.proc != a.inc || a.bulk != (c.bulk != 0) {
		return
	}
	r.kick()
	if !a.ok {
		r.refused(p, a)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.bulk {
		if a.lo != c.lo {
			return
		}
		r.takeRange(s, c, a)
		return
	}
	if a.from != s.m.Position() || a.to != c.base {
		return
	}
	c.asked = 0
	if s.broken = false; !s.play(upTo(a.data, c.base), false) || len(a.data) == 0 {
		r.misfit(s, c)
		return
	}
	probePulled.Hit()
	c.done = s.m.Position() == c.base
}

// misfit notes that pulled records could not be played. A gap is the source's fault. A
// record that does not fit is that of the contents below it: the own copy is replaced
// then, though its position counts as before, or the one that was copied is a source of
// contents no more. Giving the records' source up would open below what it holds.
func (r *Replica) misfit(s *shard, c *copying) {
	if !s.broken {
		r.giveUp(c.whom)
		return
	}
	probeMisfit.Hit()
	if p := r.take.reply(c.from); p != nil {
		p.shards[s.idx].whole = false
	}
	r.take.replaced.put(s.idx, true)
	r.take.decided = false
	// The next Seal finds this copy in doubt and counts it nowhere: what this takeover
	// knows of its position would be lost with it, and the Open unclean.
	r.passes = passesMax
}

// takeRange puts a piece of another replica's contents in the place of the own
// ones. The copy is not whole until the Open is applied, even when it is complete:
// it may have acked more than it holds then (T5).
func (r *Replica) takeRange(s *shard, c *copying, a *pullReply) {
	if !c.began {
		c.began = true
		r.take.replaced.put(s.idx, true)
		if cut, known := r.line.cut(s.idx, s.m.Position()); s.whole && (!known || cut < s.m.Position()) {
			s.rollback(cut)
		}
		s.whole = mutant.Is("whole-before-open")
		s.rebase(0)
		s.partial = true
		s.mark(markRebase)
	}
	if s.m.ReplaceRange(a.lo, a.hi, a.data) != nil {
		r.giveUp(c.whom)
		return
	}
	s.writeRange(a.lo, a.hi, a.data)
	c.asked = 0
	if a.hi != ^uint64(0) {
		c.lo = a.hi + 1
		return
	}
	probeBulk.Hit()
	s.partial = false
	s.floor = a.floor
	s.rebase(a.pos)
	s.m.AdvanceTime(a.time)
	s.mark(markRebase | markCarry)
	c.bulk, c.from = 0, c.bulk
	c.done = a.pos == c.base
}
