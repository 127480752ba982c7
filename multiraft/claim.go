package multiraft

import (
	"math"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

type claimState uint8

const (
	claimFencing claimState = iota // FENCE sent, holds not waited out
	claimGated                     // the data plane may take over and open
)

const (
	noSupport  = time.Duration(math.MinInt64)
	forever    = time.Duration(math.MaxInt64)
	notWaiting = time.Duration(0)
)

// voterState is what a claimant knows of one replica it fenced.
type voterState struct {
	id      uint64
	acked   bool
	inc     Incarnation   // of the node that acked
	minSeq  uint64        // ACKs of earlier heartbeats do not count (H5)
	wait    time.Duration // on Wait: until when its hold runs
	support time.Duration // on Age: until when it promised
	ceiling int64         // the highest shard time that a promise that counts acknowledged
}

// claim is this node's way to one lease, from FENCE to close. One per ballot.
type claim struct {
	lease  *Lease
	state  claimState
	voters []voterState
	begun  time.Duration // Wait
	resend time.Duration // Wait
	gateAt time.Duration // Wait: when the gate can open, forever while unknown
	until  time.Duration // Age: the support when it was published last
	last   time.Duration // Mono: the last deadline at which there was support
	lapse  time.Duration // Age: since when there is no support; 0 = there is
	passOn time.Duration // Wait: when leadership is handed on for want of a gate
	conf   GroupConfig   // when it began; only a seeded bug looks at it later
}

// held is until when, by now, the lease was good: a claim without support lapsed at the
// deadline that was published last, whenever somebody looks.
func (cl *claim) held(now time.Duration) time.Duration { return min(cl.last, now) }

func (cl *claim) voter(id uint64) *voterState {
	for i := range cl.voters {
		if cl.voters[i].id == id {
			return &cl.voters[i]
		}
	}
	cl.voters = append(cl.voters, voterState{id: id, support: noSupport, wait: forever})
	return &cl.voters[len(cl.voters)-1]
}

// startFence begins a claim when this node leads and nothing in its log is unapplied
// (F1) but, at most, the empty first entry of its term: neither a configuration nor what
// it proposed itself under an earlier ballot of the term, which would change the meaning
// of the positions that this one collects.
func (c *Core) startFence(g *group, now Instant) {
	if g.claim != nil || c.stopped || now.Wait < g.handover || g.leader != g.self || !g.leads() {
		return // a raft leader whose Ready is not seen yet fences when it is (roleChanged)
	}
	term := g.rn.BasicStatus().GetTerm()
	if !g.caughtUp(term) || !g.conf.voter(g.self) || g.durableTerm < term || g.refused == term && now.Wait < g.fenceAt {
		return
	}
	e := Ballot{Term: term, Sub: 1}
	if g.lastClaim.Term == term && !seeded("revive") {
		e.Sub = g.lastClaim.Sub + 1
	}
	g.lastClaim = e
	if e.Sub == 1 {
		g.fenced = now.Age
	} else {
		probeFencedAgain.Hit()
	}
	l := &Lease{group: g.id, ballot: e}
	g.claim = &claim{lease: l, begun: now.Wait, gateAt: forever, conf: g.conf}
	c.out.Event(Event{Kind: EventFencing, Group: g.id, Ballot: e, Node: c.cfg.Self.Node})
	c.accept(g, e, c.cfg.Self, now)
	g.claim.voter(g.self).acked = true
	role := RoleVoter
	if d, ok := g.conf.Find(g.self); ok {
		role = d.Role
	}
	c.data.Sealed(g.id, e, c.cfg.Self, role, c.data.Seal(g.id, e, c.cfg.Self, now), now)
	if g.claim != nil {
		c.countFence(g, g.claim.voter(g.self), c.hold(g, now), now)
		c.fenceAll(g, now)
	}
}

// caughtUp says whether a leader of a term has applied all that was ever committed
// before it. An applied entry of its term proves that; so does a log that was applied to
// its end when it was elected, for an elected leader has every committed entry (raft's
// leader completeness). F1 names the first proof only, which costs a planned move one
// more write of the disks in a row.
func (g *group) caughtUp(term uint64) bool {
	switch {
	case g.lastEntry <= g.log.applied:
		return g.termApplied == term
	case g.logTerm != term || g.lastEntry != g.termFirst:
		return false
	}
	return g.log.applied+1 == g.termFirst
}

// fenceAll sends FENCE to every replica that has not acked.
func (c *Core) fenceAll(g *group, now Instant) {
	g.claim.resend = now.Wait + c.cfg.Heartbeat
	c.fenceNew(g, now)
}

// fenceNew sends FENCE to replicas of the configuration that have not acked.
func (c *Core) fenceNew(g *group, now Instant) {
	g.conf.each(func(d ReplicaDesc) {
		if d.ID != g.self && !g.claim.voter(d.ID).acked {
			c.sendFence(g, d.ID, now)
		}
	})
}

func (c *Core) sendFence(g *group, to uint64, _ Instant) {
	if p := c.peer(NodeOf(to)); p != nil && g.claim != nil {
		c.sendFenceItem(p, itemFence, g, &fenceFrame{from: g.self, to: to, ballot: g.claim.lease.ballot})
	}
}

// heardFenceAck counts one replica's answer (F5).
func (c *Core) heardFenceAck(g *group, sender Member, f *fenceFrame, now Instant) {
	cl := g.claim
	if cl == nil || cl.lease.ballot != f.ballot || f.req != c.cfg.Self.Inc || NodeOf(f.from) != sender.Node {
		return
	}
	d, member := g.conf.Find(f.from)
	if !member {
		return
	}
	v := cl.voter(f.from)
	if v.acked && sender.Inc.Counter < v.inc.Counter {
		return
	}
	fresh := !v.acked || v.inc != sender.Inc
	if fresh {
		p := c.peer(sender.Node)
		v.acked, v.inc, v.support, v.ceiling = true, sender.Inc, noSupport, 0
		v.minSeq = p.seq + 1
		p.beatDue = true // at the end of this pass, once for all groups
		c.publish(g, now)
	}
	c.data.Sealed(g.id, f.ballot, sender, d.Role, f.state, now)
	if g.claim == cl {
		c.countFence(g, cl.voter(f.from), f.hold, now)
	}
}

// countFence notes until when a replica's hold runs; every answer is a true
// upper bound, so the smallest counts.
func (c *Core) countFence(g *group, v *voterState, hold time.Duration, now Instant) {
	wait := now.Wait
	if hold > 0 && !seeded("M05") && !seeded("nowait") {
		wait += waited(hold)
	}
	v.wait = min(v.wait, wait)
	g.claim.gateAt = c.gateAt(g)
	c.tryGate(g, now)
}

// gateAt is when a quorum of the applied configuration will have been waited out (F6).
func (c *Core) gateAt(g *group) time.Duration {
	at := func(set []ReplicaDesc) time.Duration {
		waits := make([]time.Duration, 0, 8)
		for _, d := range set {
			w := forever
			if v := g.claim.voter(d.ID); v.acked {
				w = v.wait
			}
			waits = append(waits, w)
		}
		slices.Sort(waits)
		return waits[len(waits)/2]
	}
	if len(g.conf.Voters) == 0 {
		return forever
	}
	t := at(g.conf.Voters)
	if g.conf.Joint() {
		t = max(t, at(g.conf.Outgoing))
	}
	return t
}

func (c *Core) tryGate(g *group, now Instant) {
	cl := g.claim
	if cl == nil || cl.state != claimFencing || cl.gateAt > now.Wait {
		return
	}
	cl.state = claimGated
	c.publish(g, now)
	c.out.Event(Event{Kind: EventGateOpen, Group: g.id, Ballot: cl.lease.ballot})
	c.data.GateOpen(g.id, cl.lease.ballot, now)
}

// OpenLease lets the claim serve: the data plane has applied its own Open. An
// Open that a later leader committed opens nothing, because the ballot is another (F7).
func (c *Core) OpenLease(id shardmap.GroupID, b Ballot, now Instant) bool {
	g := c.group(id)
	if g == nil || g.claim == nil || g.claim.lease.ballot != b || g.claim.state != claimGated {
		return false
	}
	g.claim.lease.open.Store(true)
	c.publish(g, now)
	c.out.Event(Event{Kind: EventLeaseOpen, Group: id, Ballot: b, Node: c.cfg.Self.Node})
	return true
}

// publish computes the support under the applied configuration and makes it the
// deadline that requests check (P1, P2). The deadline is stored before the
// offset and read after it, so a reader never pairs an old deadline with a new offset.
func (c *Core) publish(g *group, now Instant) {
	cl := g.claim
	if cl == nil {
		return
	}
	left := oneVoterLease
	s := c.support(g)
	cl.until = s
	if s != forever {
		left = 0
		if s > now.Age {
			left = (s - now.Age) * 88 / 100
			if cl.lapse != 0 && cl.lease.open.Load() {
				probeRevived.Hit()
			}
			cl.lapse = 0
		} else if cl.lapse == 0 {
			cl.lapse = now.Age
		}
	} else {
		cl.lapse = 0
	}
	c.data.CeilingAcked(g.id, c.ceiling(g))
	if cl.last = cl.held(now.Mono); left > 0 {
		cl.last = now.Mono + left
	}
	cl.lease.deadline.Store(int64(now.Mono + left))
	cl.lease.offset.Store(int64(now.SuspendOffset))
}

// support is until when (Age) a quorum of the applied voters supports the claim.
func (c *Core) support(g *group) time.Duration {
	of := func(set []ReplicaDesc) time.Duration {
		all := make([]time.Duration, 0, 8)
		for _, d := range set {
			s := noSupport
			switch v := g.claim.voter(d.ID); {
			case d.ID == g.self:
				if (g.ballot == g.claim.lease.ballot && g.grantee == c.cfg.Self) || seeded("selfforever") {
					s = forever
				}
			case v.acked || seeded("nominseq"):
				s = v.support
			}
			all = append(all, s)
		}
		slices.Sort(all)
		slices.Reverse(all)
		return all[len(all)/2]
	}
	conf := g.conf
	if seeded("confunsafe") {
		conf = g.claim.conf
	}
	if len(conf.Voters) == 0 {
		return noSupport
	}
	s := of(conf.Voters)
	if conf.Joint() {
		s = min(s, of(conf.Outgoing))
	}
	return s
}

// ceiling is the shard time that a quorum of the applied voters know of, this node
// among them. It counts from the same answers as support: a voter that has fenced a
// successor still answers, but what it hears then the successor is not told (hole 24).
func (c *Core) ceiling(g *group) int64 {
	own := c.data.Ceiling()
	of := func(set []ReplicaDesc) int64 {
		var room [8]int64
		all := room[:0]
		for _, d := range set {
			h := own
			if d.ID != g.self {
				h = g.claim.voter(d.ID).ceiling
			}
			all = append(all, h)
		}
		slices.Sort(all)
		return all[(len(all)-1)/2]
	}
	if len(g.conf.Voters) == 0 {
		return 0
	}
	h := of(g.conf.Voters)
	if g.conf.Joint() {
		h = min(h, of(g.conf.Outgoing))
	}
	return h
}

// close ends the claim for good and only then says so (R1, R2).
func (c *Core) close(g *group, reason string, now Instant) {
	c.closeFor(g, reason, 0, now)
}

// closeFor names the heir, whom others leave a little time to take over.
func (c *Core) closeFor(g *group, reason string, heir shardmap.NodeID, now Instant) {
	cl := g.claim
	if cl == nil {
		return
	}
	e, until := cl.lease.ballot, cl.held(now.Mono)
	overlaps := heir != 0 && seeded("M19") // the source serves until the target says Hello
	if !seeded("releasefirst") && !overlaps {
		cl.lease.closed.Store(true)
		cl.lease.open.Store(false)
		cl.lease.deadline.Store(0)
	}
	g.claim = nil
	if !overlaps {
		c.data.LeaseClosed(g.id, e, reason, now)
	}
	c.out.Event(Event{Kind: EventLeaseEnded, Group: g.id, Ballot: e, Node: c.cfg.Self.Node, Detail: reason, Until: until})
	g.conf.each(func(d ReplicaDesc) {
		if d.Node != c.cfg.Self.Node {
			c.sendRelease(g, e, d.Node, heir)
		}
	})
	c.heardRelease(g, c.cfg.Self, e, heir, now) // R4
}

// Release gives one group's lease up; while this node still leads it fences anew
// under the next ballot.
func (c *Core) Release(id shardmap.GroupID, reason string, now Instant) {
	if g := c.group(id); g != nil {
		c.close(g, reason, now)
	}
}

// Handover closes the lease and hands leadership to a node. If that does not
// happen within 100 ms this node fences again (U5).
func (c *Core) Handover(id shardmap.GroupID, to shardmap.NodeID, now Instant) bool {
	g := c.group(id)
	if g == nil || !g.leads() || c.peer(to) == nil || !slices.ContainsFunc(g.conf.Voters, func(d ReplicaDesc) bool { return d.Node == to }) {
		return false
	}
	g.handover = now.Wait + transferAbort
	c.closeFor(g, "handed over", to, now)
	return c.Transfer(id, to)
}

// endHandover takes back a transfer that did not happen in time: raft would drop
// every proposal for an election timeout, and so the Open of the next ballot.
func (c *Core) endHandover(g *group) {
	if g.handover != 0 && g.leads() {
		probeTakenBack.Hit()
		g.raft().TransferLeader(g.self)
	}
	g.handover = 0
}

// heardNack gives the claim up only for a higher ballot: "loading" must not
// depose a healthy holder (R1). Where a voter knows of a newer term the next fence is refused
// just as this one was, at once, until raft hears of that term as well, which may take a
// disk's write: fences are a heartbeat apart then.
func (c *Core) heardNack(g *group, f *fenceFrame, now Instant) {
	cl := g.claim
	if cl == nil || f.ballot != cl.lease.ballot {
		return
	}
	if f.reason == nackHigher && cl.lease.ballot.Less(f.higher) && cl.lease.ballot.Term < f.higher.Term {
		probeRefused.Hit()
		g.refused, g.fenceAt = cl.lease.ballot.Term, now.Wait+c.cfg.Heartbeat
		c.close(g, "refused for "+f.higher.String(), now)
		return
	}
	if f.reason == nackReleased || f.reason == nackHigher {
		c.close(g, "ballot refused", now)
	}
}

// tickClaim does what is due for the group's claim.
func (c *Core) tickClaim(g *group, now Instant) {
	if g.jointAlarm != 0 && now.Wait >= g.jointAlarm {
		g.jointAlarm = 0
		probeJointStuck.Hit()
		c.out.Event(Event{Kind: EventStuck, Group: g.id, Detail: "two voter sets for more than " + jointMax.String()})
	}
	cl := g.claim
	if cl == nil {
		if now.Wait >= g.handover {
			c.endHandover(g)
			c.startFence(g, now)
		}
		return
	}
	if now.Wait >= cl.resend {
		c.fenceAll(g, now)
	}
	c.tryGate(g, now)
	if g.claim != cl {
		return
	}
	c.watchSupport(g, now)
	if g.claim == cl && cl.state == claimFencing {
		c.passOn(g, now)
	}
}

// watchSupport renews one-voter leases, notes lapses, and closes a claim that
// has been without support for L, or whose raft streams are cut (U3).
func (c *Core) watchSupport(g *group, now Instant) {
	cl := g.claim
	if s := c.supportSince(g, now); s == forever {
		if time.Duration(cl.lease.deadline.Load())-now.Mono < oneVoterLease/2 {
			c.publish(g, now)
		}
		return
	} else if s <= now.Age && cl.lapse == 0 {
		cl.lapse = now.Age
	}
	if !cl.lease.open.Load() {
		return
	}
	switch {
	case cl.lapse != 0 && now.Age-cl.lapse > c.cfg.Promise:
		probeLapsed.Hit()
		c.close(g, "no support for a promise's length", now)
	case now.Wait-cl.begun > 2*pathSilence && !c.reachable(g, now):
		probeSilent.Hit()
		c.close(g, "raft streams to a quorum are silent", now)
	}
}

// supportSince is support, taken from the last publication while that has not run
// out: whatever changes a voter's support or the configuration publishes anew.
func (c *Core) supportSince(g *group, now Instant) time.Duration {
	cl := g.claim
	if cl.until > now.Age && cl.until != forever && g.ballot == cl.lease.ballot && g.grantee == c.cfg.Self {
		return cl.until
	}
	return c.support(g)
}

// reachable reports whether a quorum's control streams spoke lately.
func (c *Core) reachable(g *group, now Instant) bool {
	if !c.quiet {
		return true
	}
	ok := func(set []ReplicaDesc) bool {
		n := 0
		for _, d := range set {
			if p := c.peer(d.Node); d.ID == g.self || (p != nil && now.Wait-p.control < pathSilence) {
				n++
			}
		}
		return 2*n > len(set)
	}
	return ok(g.conf.Voters) && (!g.conf.Joint() || ok(g.conf.Outgoing))
}

// passOn hands leadership to another voter when the gate does not come (U2).
func (c *Core) passOn(g *group, now Instant) {
	cl := g.claim
	limit := max(c.cap, c.cfg.Promise) + c.cfg.Promise + 4*c.cfg.Heartbeat
	if cl.gateAt != forever || now.Wait-cl.begun < limit || now.Wait < cl.passOn {
		return
	}
	cl.passOn = now.Wait + limit
	voters := g.conf.Voters
	self := slices.IndexFunc(voters, func(d ReplicaDesc) bool { return d.ID == g.self })
	for i := 1; i < len(voters); i++ {
		d := voters[(self+i)%len(voters)]
		if p := c.peer(d.Node); p != nil && now.Wait-p.control < pathSilence {
			probePassedOn.Hit()
			c.Transfer(g.id, d.Node)
			return
		}
	}
}
