package shardgroup

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// serve begins to serve (T9): the own Open is applied. An Open whose lease is
// closed by now opens nothing. The caller holds mu.
func (r *Replica) serve(now multiraft.Instant) {
	t, last := r.take, r.line.last()
	if r.promised != t.ballot || last.holder != r.n.cfg.Self || last.ballot != t.ballot {
		r.endTake()
		return
	}
	lease := r.n.ctl.OpenLease(r.g, t.ballot)
	if lease == nil {
		probeNoLease.Hit()
		r.endTake()
		return
	}
	if last.clean != r.line.all() {
		probeUnclean.Hit()
	}
	r.lived = true
	r.lead, r.served = &leading{ballot: t.ballot, epoch: last.epoch, lease: lease}, last.epoch
	r.setQuorum() // before the first shard opens: from then on clients write to it
	for s := range r.shards {
		r.shards[s].open(last, r.startTime(s, now), r.sealedWatermark(s, last.base[s]), now)
	}
	r.endTake()
	r.passes = 0
	r.leads.Store(true)
	r.holder.Store(uint32(r.n.cfg.Self.Node))
	r.setSolo()
	r.greetAll()
	r.n.out.Event(Event{
		Kind: EventOpened, Group: r.g, Epoch: last.epoch, Node: r.n.cfg.Self.Node, Report: r.report(), Base: slices.Clone(last.base), Seats: r.line.seatNodes(),
	})
	r.wake()
}

// startTime is the shard time a new holder begins with: no time the former one
// may have used lies above it. When the former holder itself answered, its word
// is exact.
func (r *Replica) startTime(s int, now multiraft.Instant) int64 {
	last, ceiling := int64(0), int64(0)
	exact := false
	for _, p := range r.take.replies {
		last = max(last, p.shards[s].time)
		ceiling = max(ceiling, p.heard)
		if p.told(&r.take.former) && p.shards[s].pos.Epoch() == r.take.former.epoch {
			exact = true // it served, and its clock is in its answer
		}
	}
	if !exact {
		last = max(last, ceiling)
	}
	raise(&r.n.timeMax, last)
	return max(last, min(now.Wall, r.ceiling.Load()))
}

// open makes a shard the leaseholder's: a hole is emptied only now, the others
// get the OPEN record of the epoch.
func (s *shard) open(last *row, time int64, held shardmap.Version, now multiraft.Instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in, s.xfer, s.fresh = inSession{}, 0, 0
	at, flags := shardmap.MakeVersion(last.epoch, 0), byte(0)
	if last.hole.has(s.idx) {
		if pos := s.m.Position(); s.whole && pos != 0 {
			s.rollback(0)
		}
		probeHole.Hit()
		s.wipe(at)
		s.floor, flags = at, markWipe
		if mutant.Is("tail-across-a-hole-row") {
			s.rebase(last.base[s.idx])
			s.ring.commit(len(appendOpen(s.ring.reserve(s, recordHead), last.epoch, last.base[s.idx])))
			s.m.SetPosition(at)
		}
	} else {
		s.pushOpen(last)
	}
	s.m.AdvanceTime(time)
	s.began = s.m.Time()
	if s.forgotten && flags&markWipe == 0 {
		s.relog()
	}
	s.whole = true
	s.budget(s.m.BudgetBytes()) // a copy may hold more; the first write does not pay for all of it
	s.mark(flags)
	s.lease, s.epoch, s.parked = s.r.lead.lease, last.epoch, false
	s.held, s.answered = held, last.base[s.idx]
	if mutant.Is("gate-counts-from-base") {
		s.held = last.base[s.idx]
	}
	s.tail = tailMarks{}
	s.heldOff = s.ring.end
	off, have := s.ring.find(s.held, s.m.Position())
	if !have {
		off = s.ring.start()
	}
	s.setHeld(off)
	s.tail.note(off, now.Mono) // how old what is not held may be is not known: it counts from here
	s.advance()
}

// pushOpen puts the OPEN record of an epoch into the ring and says how long it is.
func (s *shard) pushOpen(last *row) int {
	raw := appendOpen(s.ring.reserve(s, recordHead), last.epoch, last.base[s.idx])
	s.ring.commit(len(raw))
	s.m.SetPosition(shardmap.MakeVersion(last.epoch, 0))
	s.writeRecord(raw)
	return len(raw)
}

// decided takes the outcome of a control entry while this node serves. That of an entry
// which was offered twice is known with its first copy; the second one may come when
// the next entry is under way, and decides nothing.
func (r *Replica) decided(e *entry, done bool) {
	l := r.lead
	if e.ballot != l.ballot || l.proposed == nil || e.mark != l.proposed.mark {
		return
	}
	if e.kind == entrySeats {
		probeReseated.Hit()
		l.joint = nil
		r.n.out.Event(Event{Kind: EventSeats, Group: r.g, Epoch: l.epoch, Node: r.n.cfg.Self.Node, Seats: r.line.seatNodes()})
	}
	if e.kind == entryExposure {
		l.offering = mask{}
		r.setSolo()
	}
	if e.kind == entryAdmit && done {
		probeAdmitted.Hit()
		r.n.out.Event(Event{Kind: EventAdmitted, Group: r.g, Epoch: l.epoch, Node: e.member.Node})
	}
	l.proposed = nil
}

// setSolo tells the shards whose exposure is declared and not being withdrawn (L5).
func (r *Replica) setSolo() {
	for i, s := range r.shards {
		s.mu.Lock()
		was := s.soloOn
		s.soloOn = r.line.solo.has(i) && !r.lead.offering.has(i)
		if s.soloOn && !was {
			probeSolo.Hit()
		}
		if s.soloOn && !was && s.delayed {
			s.delayed = false
			r.wake()
		}
		s.mu.Unlock()
	}
}

// proposeAgain is when a control entry without an outcome is offered once more.
const proposeAgain = time.Second

// govern proposes at most one control entry at a time: exposure, Admit, Seats.
func (r *Replica) govern(now multiraft.Instant) {
	l := r.lead
	if l.proposed != nil {
		if now.Mono >= l.at+proposeAgain {
			l.at = now.Mono
			r.n.ctl.Propose(r.g, l.ballot, l.proposed.encode())
		}
		return
	}
	e := r.exposure(now)
	if e == nil {
		e = r.admission()
	}
	if e == nil {
		e = r.reseat()
	}
	if e == nil && r.renew.Load() {
		r.renewEpoch(now)
		return
	}
	if e == nil {
		return
	}
	if !r.propose(e, now) {
		l.joint = nil // nothing was offered: the old seats alone count
		r.setQuorum()
	}
}

// propose offers a control entry under a mark of its own; false when it did not get into the log.
func (r *Replica) propose(e *entry, now multiraft.Instant) bool {
	l := r.lead
	l.mark++
	e.ballot, e.mark = l.ballot, l.mark
	if !r.n.ctl.Propose(r.g, l.ballot, e.encode()) {
		return false
	}
	l.proposed, l.at = e, now.Mono
	return true
}

// soloAfter is how long a seat may be silent before it is not live.
const soloAfter = 500 * time.Millisecond

// exposure is the Exposure entry that is due, if any: solo on when the bound is
// reached and no other seat lives, solo off and thin off when that is so again.
func (r *Replica) exposure(now multiraft.Instant) *entry {
	l, solo, thin := r.lead, r.line.solo, r.line.thin
	if solo.empty() && thin.empty() && !r.delayed.Load() {
		return nil // the shards need not be asked: this runs every tick
	}
	r.delayed.Store(false)
	for i, s := range r.shards {
		s.mu.Lock()
		switch over := s.pastBound(now.Mono); {
		case r.line.solo.has(i) && !over && s.held >= r.line.last().base[i]:
			solo.put(i, false) // what was inherited may be far older than its place in this tail
		case !r.line.solo.has(i) && s.delayed && over && r.n.cfg.Solo == SoloAccept && !s.company(now.Mono):
			solo.put(i, true)
		}
		if s.held.Epoch() == s.epoch {
			thin.put(i, false)
		}
		if s.delayed {
			r.delayed.Store(true)
		}
		s.mu.Unlock()
	}
	if solo == r.line.solo && thin == r.line.thin {
		return nil
	}
	l.offering = r.line.solo.without(solo)
	r.setSolo() // the bound is in force before the withdrawal is proposed
	return &entry{kind: entryExposure, solo: solo, thin: thin}
}

// pastBound is overBound without the exception that solo makes.
func (s *shard) pastBound(now time.Duration) bool {
	solo := s.soloOn
	s.soloOn = false
	over := s.overBound(now)
	s.soloOn = solo
	return over
}

// company says whether some other seat's whole copy answers.
func (s *shard) company(now time.Duration) bool {
	for _, m := range s.q.seats {
		if f := s.follower(m.Node); f != nil && f.whole && f.inc == m.Inc && f.mode == modeTail &&
			now < time.Duration(f.lane.lastAck.Load())+soloAfter {
			return true
		}
	}
	return false
}

// admission is an Admit entry for a seat whose new incarnation is filled (L7).
func (r *Replica) admission() *entry {
	if !r.restarted() {
		return nil
	}
	for _, m := range r.line.seats {
		if m.Node == r.n.cfg.Self.Node {
			continue
		}
		if inc, ok := r.filled(m.Node); ok && inc != m.Inc {
			return &entry{kind: entryAdmit, member: multiraft.Member{Node: m.Node, Inc: inc}}
		}
	}
	return nil
}

// restarted says whether some seat's node follows in another incarnation than the
// admitted one. One shard tells: a copy is filled only when all shards agree.
func (r *Replica) restarted() bool {
	s := r.shards[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range r.line.seats {
		if f := s.follower(m.Node); f != nil && f.inc != m.Inc {
			return true
		}
	}
	return false
}

// filled says whether a node's copy is whole in every shard, acked in the own
// epoch up to all that was answered, and compared by digest; and which incarnation
// of it that is.
func (r *Replica) filled(node shardmap.NodeID) (inc multiraft.Incarnation, ok bool) {
	matched := false
	for i, s := range r.shards {
		s.mu.Lock()
		f := s.follower(node)
		good := f != nil && f.whole && f.mode == modeTail && f.acked.Epoch() == s.epoch && f.acked >= s.answered
		if mutant.Is("admit-too-early") {
			good = f != nil && f.mode != modeWait
		}
		if good {
			good = i == 0 || f.inc == inc
			inc = f.inc
			matched = matched || f.matched || mutant.Is("admit-too-early")
		}
		s.mu.Unlock()
		if !good {
			return inc, false
		}
	}
	return inc, matched
}

// reseat is the next Seats entry toward the wanted seats. From here until its
// outcome is applied, held counts over the old and the new seats (L8).
func (r *Replica) reseat() *entry {
	next := r.nextSeats()
	if next == nil || !r.carries(next) {
		return nil
	}
	r.lead.joint = next
	r.setQuorum()
	return &entry{kind: entrySeats, prevSeats: slices.Clone(r.line.seats), seats: next}
}

// nextSeats is one step toward the target: one seat in and one out, or from one
// seat to three and back. Newcomers must be filled; the holder never leaves.
func (r *Replica) nextSeats() []multiraft.Member {
	now := r.line.seats
	if r.seated() || len(r.target) == 0 || !slices.Contains(r.target, r.n.cfg.Self.Node) {
		return nil
	}
	var come []multiraft.Member
	missing := 0
	for _, n := range r.target {
		if _, ok := r.line.seat(n); ok {
			continue
		}
		missing++
		if inc, ok := r.filled(n); ok {
			come = append(come, multiraft.Member{Node: n, Inc: inc})
		}
	}
	keep := slices.DeleteFunc(slices.Clone(now), func(m multiraft.Member) bool { return !slices.Contains(r.target, m.Node) })
	switch {
	case len(now) == 1 && len(r.target) == 3:
		if len(come) < 2 {
			return nil
		}
		return append(keep, come...)
	case len(now) == 3 && len(r.target) == 1:
		return keep
	case missing > 0 && len(come) == 0:
		return nil
	}
	next := slices.Clone(now)
	if len(keep) < len(now) {
		out := slices.IndexFunc(next, func(m multiraft.Member) bool { return !slices.Contains(r.target, m.Node) })
		next = slices.Delete(next, out, out+1)
	}
	if len(come) > 0 {
		next = append(next, come[0])
	}
	return next
}

// carries says whether every read quorum of new seats meets one that has all that was
// ever answered: fewer than R of them may lack it (L8).
func (r *Replica) carries(next []multiraft.Member) bool {
	for _, s := range r.shards {
		s.mu.Lock()
		has := s.holdingOf(next, s.answered)
		if s.logged() >= s.answered { // the holder has all, but maybe not in its log
			has++
		}
		s.mu.Unlock()
		if len(next)-has >= readQuorum(len(next)) {
			return false
		}
	}
	return true
}

// seated says whether the seats are the wanted ones.
func (r *Replica) seated() bool {
	for _, n := range r.target {
		if _, ok := r.line.seat(n); !ok {
			return false
		}
	}
	for _, m := range r.line.seats {
		if !slices.Contains(r.target, m.Node) {
			return false
		}
	}
	return true
}

// renewEpoch opens a new epoch for this holder: the sequence numbers run out. The
// group parks for one raft commit; no data moves.
func (r *Replica) renewEpoch(now multiraft.Instant) {
	if !r.lead.parked {
		r.park(true)
	}
	e := &entry{
		kind: entryOpen, member: r.n.cfg.Self, prevEpoch: r.line.epoch(), tight: true,
		clean: r.line.all(), solo: r.line.solo, lost: make([]uint64, len(r.shards)),
	}
	for _, s := range r.shards {
		e.base = append(e.base, s.at())
	}
	r.propose(e, now)
}

// renewed goes on in the new epoch.
func (r *Replica) renewed() {
	probeRenewed.Hit()
	last := r.line.last()
	r.lead.epoch, r.served = last.epoch, last.epoch
	for _, s := range r.shards {
		s.mu.Lock()
		s.countTail(s.pushOpen(last))
		s.epoch, s.began = last.epoch, s.m.Time()
		for _, f := range s.followers {
			f.lane.markData(s.id)
		}
		s.mu.Unlock()
	}
	r.renew.Store(false)
	r.park(false)
}

// tend looks after what needs time rather than messages: transfers that wait for
// their turn, budgets that shrink. It reports whether anything does.
func (r *Replica) tend(now multiraft.Instant) (busy bool) {
	if node := shardmap.NodeID(r.oldFill.Load()); node != 0 {
		if busy = !r.settled(node, now.Mono); !busy {
			r.oldFill.Store(0)
		}
	}
	for _, s := range r.shards {
		s.mu.Lock()
		for _, f := range s.followers {
			f.look(s.m.Position(), now.Mono)
			if f.mode == modeBegin {
				f.lane.markData(s.id)
				busy = true
			}
		}
		over := s.m.LimitBytes() > s.m.BudgetBytes()
		busy = busy || over
		s.shrinking = over && s.serving() && !s.parked && s.lease.Check(now.Mono, now.SuspendOffset) && !s.overBound(now.Mono) && s.shrink(now)
		s.mu.Unlock()
	}
	return busy
}

// shrinkStep bounds what one step evicts under the shard's mutex.
const shrinkStep = 64

// budget changes what the copy may take. At the holder fills wait while entries leave for
// it: a node that has less memory than those before it would get more than it may hold.
func (s *shard) budget(bytes int64) {
	s.m.SetBudget(bytes)
	s.shrinking = s.m.LimitBytes() > bytes
}

// shrink evicts for a lower budget; false when nothing had to leave, or nothing can.
func (s *shard) shrink(now multiraft.Instant) bool {
	v := shardmap.MakeVersion(s.epoch, s.m.Position().Seq()+1)
	if !s.m.Shrink(v, shrinkStep, &s.rec) {
		return false
	}
	s.push(&s.rec, now)
	s.r.n.out.Event(Event{Kind: EventShrunk, Group: s.r.g, Shard: s.id, Epoch: s.epoch, Node: s.r.n.cfg.Self.Node, Version: v, Evicted: s.rec.Evicted})
	return true
}

// settled says whether no shard of a node waits for a fill or is being filled. When one is
// late, only what is on its way counts.
func (r *Replica) settled(node shardmap.NodeID, now time.Duration) bool {
	waits, late := false, false
	for _, s := range r.shards {
		s.mu.Lock()
		f := s.follower(node)
		sends := f != nil && f.mode == modeFill
		waits = waits || f != nil && (!f.whole || f.mode == modeBegin)
		late = late || f != nil && f.late(now)
		s.mu.Unlock()
		if sends {
			return false
		}
	}
	return late || !waits
}

// park holds operations back, or lets them in again. The caller holds mu.
func (r *Replica) park(on bool) {
	on = on && !mutant.Is("M19") // the source of a move goes on serving
	r.lead.parked = on
	for _, s := range r.shards {
		s.mu.Lock()
		s.parked = on
		s.mu.Unlock()
	}
	if !on {
		r.wake()
	}
}
