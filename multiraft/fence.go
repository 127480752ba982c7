package multiraft

import (
	"encoding/binary"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// heardFence is FENCE at a voter or learner (F2, F3). The answer leaves only when
// this node's durable raft term has reached the ballot's: a restart must not
// forget that it was given.
func (c *Core) heardFence(g *group, sender Member, p *peer, f *fenceFrame, now Instant) {
	refuse := func(reason byte, higher Ballot) {
		c.sendFenceItem(p, itemFenceNack, g, &fenceFrame{from: g.self, to: f.from, ballot: f.ballot, higher: higher, reason: reason})
	}
	e := f.ballot
	c.hearLeader(g, sender, f)
	switch {
	case NodeOf(f.from) != sender.Node || c.tombs[Tombstone{g.id, f.from}]:
		refuse(nackUnknown, Ballot{})
	case e.Term < g.rn.BasicStatus().GetTerm():
		refuse(nackHigher, Ballot{Term: g.rn.BasicStatus().GetTerm()})
	case e.Less(g.ballot):
		refuse(nackHigher, g.ballot)
	case !g.released.Less(e):
		probeReleased.Hit()
		refuse(nackReleased, Ballot{})
	case e == g.ballot && g.grantee != sender:
		refuse(nackReleased, Ballot{})
	case e.Term > g.durableTerm && !seeded("volatileterm"):
		if g.waiting == nil || g.waiting.ballot.Less(e) {
			probeTermWait.Hit()
			g.waiting, g.waitFrom = f, sender
		}
	default:
		c.accept(g, e, sender, now)
		c.answerFence(g, p, f.from, now)
	}
}

// hearLeader takes a new FENCE as a heartbeat of its sender, which leads the ballot's
// term: the first append of that term comes later (see firstEntry), and this replica
// should neither campaign against it meanwhile nor keep a lease of an earlier term.
func (c *Core) hearLeader(g *group, sender Member, f *fenceFrame) {
	st := g.rn.BasicStatus()
	e := f.ballot
	if NodeOf(f.from) != sender.Node || f.to != g.self || c.tombs[Tombstone{g.id, f.from}] ||
		e.Term < st.GetTerm() || !g.ballot.Less(e) || st.Lead == f.from {
		return
	}
	_ = g.raft().Step(&pb.Message{
		Type: pb.MsgHeartbeat.Enum(), From: &f.from, To: &f.to, Term: &e.Term, Commit: new(uint64),
	})
	c.touch(g)
}

// fenceIfDurable answers a FENCE that waited for this node's term to be durable,
// unless its sender has restarted, or is known to be dead: a new life never claimed that
// ballot, and nobody gives back what is promised to the dead.
func (c *Core) fenceIfDurable(g *group, now Instant) {
	if g.waiting == nil || g.waiting.ballot.Term > g.durableTerm {
		return
	}
	f := g.waiting
	g.waiting = nil
	if p := c.peer(g.waitFrom.Node); p != nil && p.inc == g.waitFrom.Inc && p.dead < p.inc.Counter {
		c.heardFence(g, g.waitFrom, p, f, now)
	}
}

// accept installs a ballot and its grantee, keeping what the former grantee is owed (F3).
func (c *Core) accept(g *group, e Ballot, by Member, now Instant) {
	if e == g.ballot && g.grantee == by {
		return
	}
	if g.claim != nil && g.claim.lease.ballot != e && !seeded("selfforever") {
		c.close(g, "fenced by "+e.String(), now)
	}
	if seeded("holdlatest") {
		g.owed = nil
	}
	if old := g.grantee; old.Node != 0 && old.Node != by.Node && old.Node != c.cfg.Self.Node {
		if p := c.peer(old.Node); p != nil && p.promiseInc == old.Inc {
			g.owe(owed{old.Node, old.Inc, g.ballot, p.promiseUntil})
		}
	}
	g.forgive(by.Node, by.Inc.Counter)
	g.ballot, g.grantee = e, by
}

// hold is the longest promise this node may still owe to anybody but its grantee.
func (c *Core) hold(g *group, now Instant) time.Duration {
	h := time.Duration(0)
	for _, o := range g.owed {
		if o.node != g.grantee.Node {
			h = max(h, o.until-now.Wait)
		}
	}
	if h > 0 {
		probeHoldOwed.Hit()
	}
	if blind := c.blindUntil - now.Wait; blind > h && !g.fresh && !seeded("norestarthold") {
		probeHoldBlind.Hit()
		h = blind
	}
	return h
}

func (c *Core) answerFence(g *group, p *peer, to uint64, now Instant) {
	c.sendFenceItem(p, itemFenceAck, g, &fenceFrame{
		from: g.self, to: to, req: g.grantee.Inc, ballot: g.ballot,
		hold: c.hold(g, now), state: c.data.Seal(g.id, g.ballot, g.grantee, now),
	})
}

// holdShrank tells the present grantee that it need not wait as long (F4).
func (c *Core) holdShrank(g *group, now Instant) {
	probeHoldShrank.Hit()
	switch n := g.grantee.Node; {
	case n == 0:
	case n == c.cfg.Self.Node:
		if cl := g.claim; cl != nil {
			c.countFence(g, cl.voter(g.self), c.hold(g, now), now)
		}
	default:
		p := c.peer(n)
		d, ok := g.conf.On(n)
		if p != nil && ok {
			c.answerFence(g, p, d.ID, now)
		}
	}
}

// heardRelease drops the promise of one released ballot and nothing else (R3).
// heir is the node that leadership was handed to, 0 when nobody in particular.
func (c *Core) heardRelease(g *group, from Member, e Ballot, heir shardmap.NodeID, now Instant) {
	shrank := g.dropReleased(from, e)
	if g.grantee == from && (g.ballot == e || seeded("releaseany")) {
		g.grantee = Member{}
		shrank = true
	}
	if g.released.Less(e) {
		if g.ballot.Less(e) {
			probeAhead.Hit()
		}
		g.released = e
		if seeded("releasemoves") && g.ballot.Less(e) {
			g.ballot, g.grantee = e, Member{}
		}
	}
	if shrank {
		c.holdShrank(g, now)
	}
	if NodeOf(g.leader) == from.Node && e.Term == g.term && !e.Less(g.ballot) { // not a late copy
		if c.suspect(g, now) && heir != 0 {
			g.campaignAt += transferAbort // its TimeoutNow is under way
		}
	}
}

// sendRelease says that the claim to a group under a ballot is over.
func (c *Core) sendRelease(g *group, e Ballot, to, heir shardmap.NodeID) {
	p := c.peer(to)
	if p == nil {
		return
	}
	start := c.item(p, itemRelease, g.id)
	p.outbox = binary.BigEndian.AppendUint32(appendBallot(p.outbox, e), uint32(heir))
	p.endItem(start)
	d := datagram{kind: kindRelease, inc: c.cfg.Self.Inc, group: g.id, ballot: e, heir: heir}
	c.out.Datagram(to, d.packet(), false)
}
