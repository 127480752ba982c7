package node

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// GroupReport is what a node says of one group it has.
type GroupReport struct {
	Group     shardmap.GroupID  `json:"group"`
	Epoch     uint32            `json:"epoch"`
	Phase     string            `json:"phase"`
	Open      bool              `json:"open"`
	Voters    []shardmap.NodeID `json:"voters"`
	Learners  []shardmap.NodeID `json:"learners"`
	Seats     []shardmap.NodeID `json:"seats"`
	Whole     bool              `json:"whole"` // this node's own copy
	CaughtUp  []shardmap.NodeID `json:"caughtUp"`
	LagMax    int64             `json:"lagMax"` // versions, of the furthest follower
	Keys      int               `json:"keys"`
	Bytes     int64             `json:"bytes"`
	FillRate  int64             `json:"fillRate,omitempty"` // bytes a second that the holder sends of fills, now
	TailBytes int64             `json:"tailBytes"`
	Solo      bool              `json:"solo"`
	Thin      bool              `json:"thin"`
}

// NodeReport is what a node says of itself.
type NodeReport struct {
	Node        shardmap.NodeID `json:"node"`
	Name        string          `json:"name"`
	Incarnation uint64          `json:"incarnation"`
	Addresses   meta.Addresses  `json:"addresses"`
	Draining    bool            `json:"draining"` // it hands its leases over, because it ends or operators want that
	Intent      string          `json:"intent"`   // what operators want of it: active, draining, leaving, gone
	Zone        string          `json:"zone,omitempty"`
	LeadsMeta   bool            `json:"leadsMeta"`
	FillRate    int64           `json:"fillRate,omitempty"` // bytes a second that it sends of fills, now
	Groups      []GroupReport   `json:"groups"`
	Written     bool            `json:"written"` // it has taken a write, ever
	Gossip      []GossipReport  `json:"gossip"`  // what gossip told this node of the others
	Notices     []string        `json:"notices"` // what an operator should know, one sentence each
	// Waiting is why copies that are to leave a node stay, where group 0 is held here.
	Waiting []string `json:"waiting,omitempty"`
	// SafeToRestart says that every group keeps a quorum and whole copies without this
	// node; RestartWaits is what speaks against it.
	SafeToRestart bool   `json:"safeToRestart"`
	RestartWaits  string `json:"restartWaits,omitempty"`
}

// NodeStatus describes this node.
func (c *Core) NodeStatus(now multiraft.Instant) NodeReport {
	r := NodeReport{
		Node: c.self.Node, Name: c.cfg.Name, Incarnation: c.self.Inc.Counter,
		Addresses: c.cfg.Addresses, Draining: c.draining || c.sentAway(c.self.Node), LeadsMeta: c.leadsMeta(now),
		Written: c.Written(), Gossip: c.gossipReports(), Notices: slices.Concat(c.clockNotices(), c.deathNotices(now), c.recoveryNotices(), c.notes),
	}
	r.FillRate, _ = c.data.FillRate(now)
	r.Waiting = c.waiting(now)
	for _, id := range c.raft.Groups() {
		if id != shardmap.MetaGroup {
			r.Groups = append(r.Groups, c.groupReport(id, now))
		}
	}
	return r
}

func (c *Core) groupReport(id shardmap.GroupID, now multiraft.Instant) GroupReport {
	g := GroupReport{Group: id}
	if st, ok := c.raft.Group(id); ok {
		g.Open = st.Open && st.Lease.Check(now.Mono, now.SuspendOffset)
		g.Voters, g.Learners = nodesOf(st.Config.Voters), nodesOf(st.Config.Learners)
	}
	r := c.data.Replica(id)
	if r == nil {
		return g
	}
	st := r.Status(now)
	g.Epoch, g.Phase, g.Whole, g.FillRate = st.Epoch, st.Phase.String(), true, st.FillRate
	for _, m := range st.Seats {
		g.Seats = append(g.Seats, m.Node)
	}
	for _, s := range st.Shards {
		g.Whole = g.Whole && s.Whole
		g.Keys += s.Keys
		g.Bytes += s.Bytes
		g.TailBytes += s.TailBytes
		g.Solo = g.Solo || s.Solo
		g.Thin = g.Thin || s.Thin
	}
	for _, f := range st.Followers {
		g.LagMax = max(g.LagMax, f.Lag)
		if f.CaughtUp && f.Whole {
			g.CaughtUp = append(g.CaughtUp, f.Node)
		}
	}
	return g
}

// Alone reports whether this node has the only copy of a shard that raft knows of.
func (c *Core) Alone(shard shardmap.ShardID) bool {
	g := c.routes.Layout().GroupOf(shard)
	st, ok := c.raft.Group(g)
	return ok && c.data.Replica(g) != nil && len(st.Config.Voters) == 1 && len(st.Config.Learners) == 0
}

func nodesOf(ds []multiraft.ReplicaDesc) []shardmap.NodeID {
	ns := make([]shardmap.NodeID, len(ds))
	for i, d := range ds {
		ns[i] = d.Node
	}
	return ns
}

// Absentee is a node that did not answer, as the registry knows it.
type Absentee struct {
	Node   shardmap.NodeID `json:"node"`
	Name   string          `json:"name"`
	Client string          `json:"clientAddr"` // where its client port was last
	Intent string          `json:"intent"`
	// NotHeard is how long ago the asked node heard its last heartbeat; 0 when it never did.
	NotHeard time.Duration `json:"notHeardNs"`
}

// Absentee is what is known of a silent node; the zero value where nothing is.
func (r *ClusterReport) Absentee(name string) Absentee {
	for _, a := range r.Absent {
		if a.Name == name {
			return a
		}
	}
	return Absentee{}
}

// ClusterReport is the cluster as one node sees it, with what the others said.
type ClusterReport struct {
	Cluster  string       `json:"cluster"`
	MapEpoch uint64       `json:"mapEpoch"`
	Groups   int          `json:"groups"`
	Factor   int          `json:"replicationFactor"`
	Nodes    []NodeReport `json:"nodes"`
	Silent   []string     `json:"silent"` // nodes that did not answer
	Absent   []Absentee   `json:"absent"` // the same, with what the registry has of them
	Served   int          `json:"served"` // groups with an open lease
	FullyFed int          `json:"fullyReplicated"`
	Healthy  bool         `json:"healthy"`
	Verdict  string       `json:"verdict"`
	Moves    []Move       `json:"moves"` // copies on their way
	Moving   *Moving      `json:"moving,omitempty"`
	Halted   *Halted      `json:"halted,omitempty"`  // operators have halted rebalancing
	Waiting  []string     `json:"waiting,omitempty"` // why copies that are to leave a node stay, one sentence each
	At       time.Time    `json:"at"`
}
