package multiraft

import (
	"encoding/binary"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// nodeRelease is proof that an incarnation of a node is dead (D4).
func (c *Core) nodeRelease(dead Member, now Instant) {
	p := c.peer(dead.Node)
	if p == nil || dead.Node == c.cfg.Self.Node {
		return
	}
	probeDeath.Hit()
	news := dead.Inc.Counter > p.dead
	anyInc := seeded("nodereleaseany")
	p.dead = max(p.dead, dead.Inc.Counter)
	for _, g := range c.order {
		shrank := g.forgive(p.node, dead.Inc.Counter)
		if g.grantee.Node == p.node && (g.grantee.Inc.Counter <= dead.Inc.Counter || anyInc) {
			g.grantee = Member{}
			shrank = true
		}
		if anyInc {
			shrank = g.forgive(p.node, ^uint64(0)) || shrank
		}
		if shrank {
			c.holdShrank(g, now)
		}
		if NodeOf(g.leader) == p.node && p.inc.Counter <= p.dead && c.suspect(g, now) && news && c.turn(g) == 0 {
			c.tellDeath(dead, g)
		}
	}
	for id, pl := range c.pledges { // of groups that left this node; order has no effect
		if c.group(id) != nil {
			continue
		}
		pl.forgive(p.node, dead.Inc.Counter)
		if pl.grantee.Node == p.node && pl.grantee.Inc.Counter <= dead.Inc.Counter {
			pl.grantee = Member{}
		}
	}
}

// tellDeath tells the voters of a group what this node knows, and is about to campaign for,
// ahead of its pre-vote and on the same stream: who still believes in the dead leader
// ignores that one, and the next try is a quarter of a lease away. The parent's own words
// reach two nodes half a millisecond apart, or one of them only. As a copy of a proof it
// is as safe as the proof is.
func (c *Core) tellDeath(dead Member, g *group) {
	for _, v := range g.conf.Voters {
		p := c.peer(v.Node)
		if p == nil || v.Node == dead.Node || p.told == dead {
			continue
		}
		p.told = dead
		start := c.item(p, itemDeath, 0)
		p.outbox = appendInc(binary.BigEndian.AppendUint32(p.outbox, uint32(dead.Node)), dead.Inc)
		p.endItem(start)
	}
}

// Buried reports whether the incarnation of a node that was heard of last is known dead.
func (c *Core) Buried(n shardmap.NodeID) bool {
	p := c.peer(n)
	return p != nil && p.dead != 0 && p.inc.Counter <= p.dead
}
