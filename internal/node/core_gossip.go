package node

import (
	"slices"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Gossiped takes what gossip says of a node: that it is alive, dead or leaving, and
// at which addresses. All of it is a hint that may be late, wrong or a lie, and may
// be repeated at will. It can shorten the patience with a leader that is silent
// already, name a second address to dial (who answers there is checked by the
// handshake), keep leases away from a node that says it is leaving, and be shown.
// Promises, pledges, seats, placement and replies never ask it.
func (c *Core) Gossiped(m membership.Member, now multiraft.Instant) {
	c.now = now
	if c.meta == nil || m.Node == c.self.Node {
		return
	}
	row, ok := c.meta.Node(m.Node)
	if !ok {
		return // only rows of the registry count: a liar cannot make this table grow
	}
	c.gossip[m.Node] = m
	c.raft.PeerHint(m.Node, m.Incarnation, m.State.Gone())
	c.hintAddress(row, m)
}

// hintAddress names a second address to dial while the registry's row is older
// than the start that gossip speaks of: when every node of a cluster came back at
// a new address, group 0 cannot agree on one of them before they have met.
func (c *Core) hintAddress(row meta.Node, m membership.Member) {
	addr := ""
	if !m.State.Gone() && m.Incarnation > row.Generation && m.ClusterAddr != row.Addresses.Cluster {
		addr = m.ClusterAddr
	}
	if c.hinted[row.ID] != addr {
		c.hinted[row.ID] = addr
		c.out.PeerHint(row.ID, addr)
	}
}

// followHints looks at the hints again when the registry has changed.
func (c *Core) followHints() {
	for _, row := range c.meta.Nodes {
		if m, ok := c.gossip[row.ID]; ok {
			c.hintAddress(row, m)
		}
	}
}

// leaving reports whether a node hands its leases over, as itself, operators or gossip say.
// A lie can do no more than to keep leases where they are.
func (c *Core) leaving(n shardmap.NodeID) bool {
	if c.announcedLeave(n) || c.sentAway(n) {
		return true
	}
	m, ok := c.gossip[n]
	return ok && m.Draining && m.State == membership.Alive
}

// GossipContacts lists where the registered nodes gossip, this one included.
func (c *Core) GossipContacts() []membership.Contact {
	if c.meta == nil {
		return nil
	}
	cs := make([]membership.Contact, 0, len(c.meta.Nodes))
	for _, n := range c.meta.Nodes {
		cs = append(cs, membership.Contact{Addr: n.Addresses.Gossip, Node: n.ID, Name: n.Name, UUID: n.UUID})
	}
	return cs
}

// Notices are sentences that status shows until others replace them.
func (c *Core) Notices(sentences []string) {
	slices.Sort(sentences)
	c.notes = sentences
}

// Written reports whether this node has ever taken a write, as leaseholder or from one.
func (c *Core) Written() bool {
	for _, id := range c.raft.Groups() {
		if c.wrote {
			break
		}
		if r := c.data.Replica(id); r != nil {
			_, c.wrote = r.Holdings()
		}
	}
	return c.wrote
}

// Withdraw gives every lease up for good, unless a write was taken here: it holds
// new operations back, looks, and lets them in again when there was one. So what
// makes it say true has been acknowledged to nobody.
func (c *Core) Withdraw(now multiraft.Instant) bool {
	c.now = now
	var parked []*shardgroup.Replica
	for _, id := range c.raft.Groups() {
		if r := c.data.Replica(id); r != nil && c.moves[id] == nil && r.Park(now) {
			parked = append(parked, r)
		}
	}
	if !c.Written() {
		c.raft.Stop(now)
		return true
	}
	for _, r := range parked {
		r.Unpark(now)
	}
	return false
}

// GossipReport is what gossip told one node of another.
type GossipReport struct {
	Node        shardmap.NodeID  `json:"node"`
	Name        string           `json:"name"`
	State       membership.State `json:"state"`
	Incarnation uint64           `json:"incarnation"`
	Version     string           `json:"version"`
	Draining    bool             `json:"draining"`
	Leases      int              `json:"leases"`
	MemoryUsed  int64            `json:"memoryUsed"`
	MemoryMax   int64            `json:"memoryMax"`
}

// gossipReports describes every other node of the registry.
func (c *Core) gossipReports() []GossipReport {
	if c.meta == nil {
		return nil
	}
	var rs []GossipReport
	for _, row := range c.meta.Nodes {
		if row.ID == c.self.Node {
			continue
		}
		m := c.gossip[row.ID]
		rs = append(rs, GossipReport{
			Node: row.ID, Name: row.Name, State: m.State, Incarnation: m.Incarnation, Version: m.Version,
			Draining: m.Draining, Leases: int(m.Leases), MemoryUsed: m.MemoryUsed, MemoryMax: m.MemoryMax,
		})
	}
	return rs
}
