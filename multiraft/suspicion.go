package multiraft

import (
	"time"

	"go.etcd.io/raft/v3"
)

// tickSuspicion campaigns when it is this node's turn, and suspects a leader
// whose heartbeats have stopped (U1).
func (c *Core) tickSuspicion(g *group, now Instant) {
	if c.stopped || !g.conf.voter(g.self) {
		return
	}
	if g.leader != 0 {
		if n := NodeOf(g.leader); n != c.cfg.Self.Node {
			if p := c.peer(n); p != nil && now.Wait-p.heard > 3*c.cfg.Heartbeat+c.cfg.Heartbeat/2 {
				c.suspect(g, now)
			}
		}
		return
	}
	if g.campaignAt == 0 {
		g.campaignAt = now.Wait + time.Duration(g.rank)*rankStep
	}
	if now.Wait < g.campaignAt {
		return
	}
	g.campaignAt = now.Wait + campaignRetry + time.Duration(g.rank)*rankStep
	if g.rn.BasicStatus().RaftState != raft.StateLeader {
		_ = g.rn.Campaign()
		c.touch(g)
	}
}

// suspect forgets the leader and plans a campaign by rank. Being wrong is cheap:
// promises are not touched, and the deposed leader learns the higher term.
func (c *Core) suspect(g *group, now Instant) {
	n := NodeOf(g.leader)
	if g.leader == 0 || n == c.cfg.Self.Node || !g.conf.voter(g.self) {
		return
	}
	c.out.Event(Event{Kind: EventSuspect, Group: g.id, Node: n})
	_ = g.rn.ForgetLeader()
	g.leader = 0
	g.campaignAt = now.Wait + time.Duration(g.rank)*rankStep
	c.touch(g)
}
