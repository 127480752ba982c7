package multiraft

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// owed is what this node, as voter, still promises to an earlier grantee.
type owed struct {
	node   shardmap.NodeID
	inc    Incarnation
	ballot Ballot
	until  time.Duration // on Wait
}

// pledge is what this node, as voter of a group, has promised and to whom. It is
// kept per node and group for the life of the process, never per replica: a
// replica that is removed and made anew on the same node still owes what the
// former one promised.
type pledge struct {
	ballot   Ballot
	grantee  Member // Node 0: none
	owed     []owed
	released Ballot
	fresh    bool // this node never had the group before this life
}

// pledgeOf finds the group's pledge of this life, or begins one. A group is
// fresh when neither raft.db nor a tombstone says that it was here before.
func (c *Core) pledgeOf(id shardmap.GroupID, restored bool) *pledge {
	if pl := c.pledges[id]; pl != nil {
		return pl
	}
	had := restored
	for t := range c.tombs {
		had = had || t.Group == id
	}
	pl := &pledge{fresh: !had}
	c.pledges[id] = pl
	return pl
}

func (pl *pledge) owe(o owed) {
	for i := range pl.owed {
		if pl.owed[i].node == o.node {
			o.until = max(o.until, pl.owed[i].until)
			pl.owed[i] = o
			return
		}
	}
	pl.owed = append(pl.owed, o)
}

func (pl *pledge) owes(n shardmap.NodeID, inc Incarnation) bool {
	return slices.ContainsFunc(pl.owed, func(o owed) bool { return o.node == n && o.inc == inc })
}

// forgive drops what was owed to a node's incarnations up to counter: they are over (A1).
func (pl *pledge) forgive(n shardmap.NodeID, counter uint64) bool {
	before := len(pl.owed)
	pl.owed = slices.DeleteFunc(pl.owed, func(o owed) bool { return o.node == n && o.inc.Counter <= counter })
	return len(pl.owed) != before
}

// dropReleased drops what was owed for a released ballot and the ones before it (R3).
func (pl *pledge) dropReleased(from Member, e Ballot) bool {
	before := len(pl.owed)
	pl.owed = slices.DeleteFunc(pl.owed, func(o owed) bool {
		return o.node == from.Node && o.inc == from.Inc && (!e.Less(o.ballot) || seeded("releaseany"))
	})
	return len(pl.owed) != before
}
