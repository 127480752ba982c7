package shardgroup

import (
	"slices"
	"sort"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// takeover is the work of a raft leader between its Seal and its Open.
type takeover struct {
	ballot   multiraft.Ballot
	start    time.Duration
	replies  []*reply // by node
	enough   time.Duration
	enoughOK bool
	passed   time.Duration // when leadership was last offered to a better replica
	copies   []copying     // per shard, once decided
	replaced mask          // own contents that a bulk copy began to overwrite
	decided  bool
	proposed bool
	offered  []byte        // the entry that was proposed
	at       time.Duration // when
	opened   bool          // our Open is applied
	former   row           // the last row when it was proposed
}

// insert takes a reply; a later one of the same node replaces it until decided.
func (t *takeover) insert(p *reply) {
	i := sort.Search(len(t.replies), func(i int) bool { return t.replies[i].from.Node >= p.from.Node })
	if i < len(t.replies) && t.replies[i].from.Node == p.from.Node {
		if t.replies[i].proc != p.proc {
			t.decided = t.decided && t.proposed // its former life is no source any more
		}
		t.replies[i] = p
		return
	}
	t.replies = slices.Insert(t.replies, i, p)
}

func (t *takeover) reply(node shardmap.NodeID) *reply {
	for _, p := range t.replies {
		if p.from.Node == node {
			return p
		}
	}
	return nil
}

// endTake gives a takeover up. The caller holds mu.
func (r *Replica) endTake() {
	r.take = nil
	r.taking.Store(false)
	r.loading.Store(false)
}

// pump moves a takeover on as far as it can go, and proposes what the holder wants.
func (r *Replica) pump(now multiraft.Instant) {
	r.mu.Lock()
	if r.take != nil {
		r.takeOver(now)
	} else if r.lead != nil {
		r.govern(now)
	}
	r.unlockAndPass()
}

// tick is pump's work when time has passed; it reports whether more of it is
// waited for.
func (r *Replica) tick(now multiraft.Instant) (busy bool) {
	r.mu.Lock()
	if r.take != nil {
		r.takeOver(now)
		busy = true
	}
	if r.lead != nil {
		busy = r.tend(now) || busy
		r.govern(now)
		busy = r.unsettled() || busy
	}
	r.unlockAndPass()
	return busy
}

// unsettled says whether the holder is on its way to propose something: it looks
// often then, because what it waits for makes no event.
func (r *Replica) unsettled() bool {
	return r.lead != nil && (!r.line.solo.empty() || !r.line.thin.empty() || r.delayed.Load() || r.renew.Load() ||
		r.restarted() || len(r.target) > 0 && !r.seated())
}

// unlockAndPass hands leadership on if that was decided: without the lock,
// because multiraft tells us on the way that the claim is closed.
func (r *Replica) unlockAndPass() {
	to := r.passTo
	r.passTo = 0
	r.mu.Unlock()
	if to != 0 {
		r.n.ctl.Transfer(r.g, to)
	}
}

// takeOver is one step of T1-T9.
func (r *Replica) takeOver(now multiraft.Instant) {
	t := r.take
	if t.opened {
		r.serve(now)
		return
	}
	if t.proposed {
		if now.Mono >= t.at+proposeAgain { // the same one: it may be applied any moment, and opens on what is here then
			t.at = now.Mono
			r.n.ctl.Propose(r.g, t.ballot, t.offered)
		}
		return
	}
	if t.reply(r.n.cfg.Self.Node) == nil || r.promised != t.ballot {
		return
	}
	if now.Mono >= t.start+r.n.cfg.Deadline {
		r.loading.Store(true)
	}
	if !r.heardEnough(now) || r.passOn(now) || r.gate != t.ballot {
		return
	}
	if !t.decided {
		r.decide()
	}
	if r.overwrites() && r.offer(now) {
		return
	}
	if r.gather(now) && r.baseLogged() {
		r.proposeOpen(now)
	}
}

// counts says whether a reply counts for a shard (T3).
func (r *Replica) counts(p *reply, s int) bool {
	return r.line.counted(p.from) && r.sound(p, s)
}

// sound says whether a copy holds a full prefix of the lineage up to its cut.
func (r *Replica) sound(p *reply, s int) bool {
	c := &p.shards[s]
	if mutant.Is("amnesiac-counted") && c.pos == 0 {
		return true
	}
	cut, known := r.line.cut(s, c.pos)
	return c.whole && known && (cut >= c.floor || mutant.Is("tail-across-a-hole-row"))
}

// exact says whether a copy's contents are on the lineage: only such a copy is a
// source of state (T4).
func (r *Replica) exact(p *reply, s int) bool {
	if p.from.Node == r.n.cfg.Self.Node && r.take.replaced.has(s) {
		return false
	}
	cut, known := r.line.cut(s, p.shards[s].pos)
	return r.sound(p, s) && known && (cut == p.shards[s].pos || mutant.Is("divergent-state-as-source"))
}

// quorumIn says whether R counting replies are there for a shard.
func (r *Replica) quorumIn(s int) bool {
	got := 0
	for _, p := range r.take.replies {
		if r.counts(p, s) {
			got++
		}
	}
	return got >= readQuorum(len(r.line.seats))
}

// heardEnough waits for R counting replies in every shard and then a little for
// the other seats; after the deadline an available group goes on without (T3).
func (r *Replica) heardEnough(now multiraft.Instant) bool {
	t := r.take
	if len(r.line.rows) == 0 {
		return r.allAnswered() || now.Mono >= t.start+r.n.cfg.Grace
	}
	if r.line.last().begins() && !r.seatsAnswered() && !r.waitedForCopies(now) {
		return false // the survivors all live, and no quorum of them proves anything
	}
	enough := true
	for s := range r.shards {
		enough = enough && r.quorumIn(s)
	}
	if enough {
		if !t.enoughOK {
			t.enough, t.enoughOK = now.Mono, true
		}
		return r.holderTold() || r.allAnswered() || !r.waitsForLogs(now) && (now.Mono >= t.enough+r.n.cfg.Grace || r.livingAnswered())
	}
	if r.n.cfg.Recovery == RecoverStrict || now.Mono < t.start+r.n.cfg.Deadline || r.waitsForLogs(now) && !r.allAnswered() {
		return false
	}
	if by := r.readBy(); by != 0 && now.Mono < by+readingSilence {
		probeReading.Hit()
		return false
	}
	return r.waitedForCopies(now) || r.seatsAnswered() || !r.bestIsEmpty()
}

// waitsForLogs says whether all copies heard of have come out of their logs since anybody
// served: the whole cluster was restarted. No lease is lost by waiting, and a copy whose
// log takes longer may have what no other has, written in the last moment before. What
// ends it counts as in waitedForCopies.
func (r *Replica) waitsForLogs(now multiraft.Instant) bool {
	if r.n.log == nil || now.Mono >= max(r.idle, r.readBy())+r.n.cfg.LogWait {
		return false
	}
	for _, p := range r.take.replies {
		if p.lived {
			return false
		}
	}
	return true
}

// holderTold says whether the last holder itself, in the process that held, has answered
// with sound copies to a seat: nobody has a write of its epoch that it lacks, so the
// other seats cannot add to the base. A planned move waits for the slowest disk of the
// group without this.
func (r *Replica) holderTold() bool {
	last := r.line.last()
	if last == nil || !r.line.counted(r.n.cfg.Self) {
		return false
	}
	p := r.take.reply(last.holder.Node)
	if p == nil || !p.told(last) || p.gone {
		return false
	}
	for s := range r.shards {
		if !r.counts(p, s) {
			return false
		}
	}
	return true
}

// waitedForCopies says whether a copy that may be down has been waited for long
// enough. That counts from the first takeover since the last Open: a leader that
// waits has no lease, so others suspect it and are elected in turn, each sooner
// than any of them would have waited.
func (r *Replica) waitedForCopies(now multiraft.Instant) bool {
	return now.Mono >= max(r.idle, r.readBy())+r.n.cfg.EmptyWait
}

// seatsAnswered says whether every seat has said something.
func (r *Replica) seatsAnswered() bool {
	for _, m := range r.line.seats {
		if r.take.reply(m.Node) == nil {
			return false
		}
	}
	return true
}

// allAnswered says whether every data replica of the configuration has, and every seat.
func (r *Replica) allAnswered() bool {
	for _, node := range r.copies() {
		if r.take.reply(node) == nil {
			return false
		}
	}
	return true
}

// copies are the nodes that a takeover asks for what they have: the seats, and the voters
// with data. Some are named twice.
func (r *Replica) copies() (nodes []shardmap.NodeID) {
	for _, m := range r.line.seats {
		nodes = append(nodes, m.Node)
	}
	for _, ds := range [...][]multiraft.ReplicaDesc{r.cfg.Voters, r.cfg.Outgoing} {
		for _, d := range ds {
			if d.Role != multiraft.RoleWitness {
				nodes = append(nodes, d.Node)
			}
		}
	}
	return nodes
}

// livingAnswered says whether every data replica of the configuration and every seat has
// answered but for those whose process is dead for certain: a failover that began with a
// proof of death would wait out the grace for them, which is the longest part of it.
func (r *Replica) livingAnswered() bool {
	missing := func(n shardmap.NodeID) bool { return r.take.reply(n) == nil && !r.n.ctl.Buried(n) }
	data := func(d multiraft.ReplicaDesc) bool { return d.Role != multiraft.RoleWitness && missing(d.Node) }
	return !slices.ContainsFunc(r.cfg.Voters, data) && !slices.ContainsFunc(r.cfg.Outgoing, data) &&
		!slices.ContainsFunc(r.line.seats, func(m multiraft.Member) bool { return missing(m.Node) })
}

// bestIsEmpty says whether some shard has no sound copy with anything in it.
func (r *Replica) bestIsEmpty() bool {
	for s := range r.shards {
		best := shardmap.Version(0)
		for _, p := range r.take.replies {
			if r.sound(p, s) {
				cut, _ := r.line.cut(s, p.shards[s].pos)
				best = max(best, cut)
			}
		}
		if best == 0 {
			return true
		}
	}
	return false
}

// passEvery is how often leadership is offered to a better replica, passesMax how
// often in a row before this replica copies what it lacks and serves itself.
const (
	passEvery = 100 * time.Millisecond
	passesMax = 5
)

// votes says whether a node could be elected: a voter with data.
func (r *Replica) votes(node shardmap.NodeID) bool {
	return slices.ContainsFunc(r.cfg.Voters, func(d multiraft.ReplicaDesc) bool {
		return d.Node == node && d.Role == multiraft.RoleVoter
	})
}

// passOn hands leadership to a seat that is exact in every shard when this
// replica is not (T1). It reports whether to wait for that.
func (r *Replica) passOn(now multiraft.Instant) bool {
	t := r.take
	if now.Mono >= max(t.start, t.enough)+2*r.n.cfg.Deadline || len(r.line.rows) == 0 && !r.isWitness() {
		return false
	}
	if r.fit(t.reply(r.n.cfg.Self.Node)) {
		return false
	}
	return r.offer(now) || r.isWitness() && now.Mono < t.start+r.n.cfg.Deadline
}

// overwrites says whether the plan begins to replace an own copy that counts: from
// then until the Open it counts no more, and if leadership is lost in between there
// is one copy less. A replica that needs no such plan should lead instead.
func (r *Replica) overwrites() bool {
	t := r.take
	for s := range t.copies {
		if c := &t.copies[s]; c.bulk != 0 && !t.replaced.has(s) && r.counts(t.reply(r.n.cfg.Self.Node), s) {
			return true
		}
	}
	return false
}

// offer hands leadership to a seat that is exact in every shard and votes, a few
// times in a row; it reports whether to wait for that. What ends it is their number,
// not the time since the takeover began: with a long lease the earlier holder is waited
// out for longer than any such limit.
func (r *Replica) offer(now multiraft.Instant) bool {
	t := r.take
	for _, p := range t.replies {
		if p.from.Node == r.n.cfg.Self.Node || !r.votes(p.from.Node) || !r.fit(p) || r.passes >= passesMax {
			continue
		}
		if t.passed == 0 || now.Mono >= t.passed+passEvery {
			t.passed = now.Mono
			r.passes++
			probePassed.Hit()
			r.passTo = p.from.Node
		}
		return true
	}
	return false
}

// fit says whether a replica can lead at once: a seat, exact in every shard.
func (r *Replica) fit(p *reply) bool {
	if p.role == multiraft.RoleWitness || (len(r.line.rows) > 0 && !r.line.counted(p.from)) {
		return false
	}
	for s := range r.shards {
		if len(r.line.rows) > 0 && !r.exact(p, s) {
			return false
		}
	}
	return true
}

// decide fixes the base of every shard from the replies (T4). It runs again when
// a source is lost before the Open is proposed.
func (r *Replica) decide() {
	t := r.take
	t.decided = true
	t.copies = make([]copying, len(r.shards))
	_, seated := r.line.seat(r.n.cfg.Self.Node)
	seated = seated || mutant.Is("seat-taken-by-open")
	for s := range r.shards {
		c := &t.copies[s]
		if len(r.line.rows) == 0 {
			c.clean, c.done = true, true // nothing was ever written
			continue
		}
		need := r.needed(s)
		c.hole = true
		for _, base := range r.candidates(s) {
			if r.plan(s, base) {
				c.hole = false
				break
			}
		}
		c.done = c.done || c.hole
		if c.hole && mutant.Is("tail-across-a-hole-row") {
			c.base = need
		}
		c.clean = !c.hole && c.base >= need && r.quorumIn(s) && seated
	}
}

// needed is the highest position that somebody counts for: a clean Open keeps it. What
// was never logged was never acked, and need not be kept when its only source dies. While a
// copy cannot say what is logged it may have acked all that it holds.
func (r *Replica) needed(s int) shardmap.Version {
	best := shardmap.Version(0)
	for _, p := range r.take.replies {
		if r.counts(p, s) {
			at := p.shards[s].logged
			if at == 0 {
				at = p.shards[s].pos
			}
			cut, _ := r.line.cut(s, at)
			best = max(best, cut)
		}
	}
	if mutant.Is("base-too-low") || mutant.Is("M09") {
		return 0
	}
	return best
}

// candidates are the positions that a shard might open from, best first: what the
// counting copies hold, and beside it the exact copies that do not count, for a
// whole learner's longer tail is welcome (schedule 37) and an unadmitted copy is
// better than none.
func (r *Replica) candidates(s int) []shardmap.Version {
	var list []shardmap.Version
	for _, p := range r.take.replies {
		cut, known := r.line.cut(s, p.shards[s].pos)
		switch {
		case p.from.Node == r.n.cfg.Self.Node:
			if r.exact(p, s) {
				list = append(list, r.shards[s].at()) // pulls may have moved it on
			} else if r.counts(p, s) {
				list = append(list, cut)
			}
		case p.gone || !known:
		case r.counts(p, s) || r.exact(p, s):
			list = append(list, cut)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	list = slices.Compact(list)
	if (mutant.Is("base-too-low") || mutant.Is("M09")) && len(list) > 1 {
		slices.Reverse(list)
	}
	return list
}

// proposeOpen offers the one entry that decides everything (T9).
func (r *Replica) proposeOpen(now multiraft.Instant) {
	t := r.take
	e := &entry{
		kind: entryOpen, ballot: t.ballot, member: r.n.cfg.Self, prevEpoch: r.line.epoch(),
		base: make([]shardmap.Version, len(r.shards)), lost: make([]uint64, len(r.shards)),
	}
	for s := range r.shards {
		c := &t.copies[s]
		e.base[s] = c.base
		e.clean.put(s, c.clean && !c.hole)
		e.hole.put(s, c.hole)
		e.solo.put(s, r.staysSolo(s))
		e.lost[s] = r.knownLost(s, c.base)
	}
	e.tight = r.cutNothing(e.base)
	e.seats = r.firstSeats()
	e.displaced = r.displaced()
	t.offered = e.encode()
	if r.n.ctl.Propose(r.g, t.ballot, t.offered) {
		t.proposed, t.at, t.former = true, now.Mono, row{}
		if last := r.line.last(); last != nil {
			t.former = *last
		}
	}
	if mutant.Is("M10") && t.proposed {
		r.line.apply(e)
		t.opened = true
		r.kick()
	}
}

// staysSolo keeps a declared exposure over the Open while anything lies between
// what W seats are known to hold and the base (T8). Bytes alone would not do:
// the records there may be few and an hour old.
func (r *Replica) staysSolo(s int) bool {
	c := &r.take.copies[s]
	if mutant.Is("open-resets-solo") {
		return false
	}
	return r.line.solo.has(s) && !c.hole && r.sealedWatermark(s, c.base) < c.base
}

// sealedWatermark is what W seats are known to hold of the former epochs: what the replies
// have logged, cut to the lineage and to the base, the holder at the base (L3), which its
// log has (baseLogged).
func (r *Replica) sealedWatermark(s int, base shardmap.Version) shardmap.Version {
	ps := []shardmap.Version{base}
	for _, p := range r.take.replies {
		if p.from.Node != r.n.cfg.Self.Node && r.counts(p, s) {
			cut, _ := r.line.cut(s, p.shards[s].logged)
			ps = append(ps, min(base, cut))
		}
	}
	w := writeQuorum(max(1, len(r.line.seats)))
	if len(ps) < w {
		return 0
	}
	slices.Sort(ps)
	return ps[len(ps)-w]
}

// knownLost counts the versions above the base that somebody heard of (T10).
func (r *Replica) knownLost(s int, base shardmap.Version) uint64 {
	lost := uint64(0)
	for _, p := range r.take.replies {
		h := p.shards[s].head
		switch {
		case h <= base || h.Epoch() != r.line.opened():
		case h.Epoch() == base.Epoch():
			lost = max(lost, h.Seq()-base.Seq())
		default:
			lost = max(lost, h.Seq())
		}
	}
	return lost
}

// cutNothing says whether the last holder itself told its final positions and all
// of them survive.
func (r *Replica) cutNothing(base []shardmap.Version) bool {
	last := r.line.last()
	if last == nil {
		return false
	}
	p := r.take.reply(last.holder.Node)
	if p == nil || !p.told(last) {
		return false
	}
	for s := range base {
		if !r.sound(p, s) || p.shards[s].pos.Epoch() != last.epoch || p.shards[s].pos > base[s] {
			return false
		}
	}
	return true
}

// firstSeats are the seats a founding Open brings: the voters, with the
// incarnations that answered. One that did not answer has none yet and waits for
// its Admit.
func (r *Replica) firstSeats() []multiraft.Member {
	if len(r.line.seats) > 0 {
		return nil
	}
	var seats []multiraft.Member
	for _, d := range r.cfg.Voters {
		if d.Role == multiraft.RoleWitness || len(seats) == maxSeats-1 {
			continue
		}
		m := multiraft.Member{Node: d.Node}
		if d.Node == r.n.cfg.Self.Node {
			m = r.n.cfg.Self
		} else if p := r.take.reply(d.Node); p != nil {
			m.Inc = p.from.Inc
		}
		seats = append(seats, m)
	}
	return seats
}

// displaced is whose seat this node takes when it has none: one that did not
// answer, if there is one.
func (r *Replica) displaced() shardmap.NodeID {
	for _, m := range r.line.seats {
		if r.take.reply(m.Node) == nil {
			return m.Node
		}
	}
	return 0
}
