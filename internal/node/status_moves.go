package node

import (
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Move is copies of one group on their way from nodes to others.
type Move struct {
	Group shardmap.GroupID  `json:"group"`
	From  []shardmap.NodeID `json:"from"` // have a seat and are to lose it
	To    []shardmap.NodeID `json:"to"`   // are to get one
	// Bytes is what the copies will have, Done what of it is there. Both are about.
	Bytes int64 `json:"bytes"`
	Done  int64 `json:"done"`
}

// holding is what the nodes that answered have of one group.
type holding struct {
	holder shardmap.NodeID // 0: nobody serves it
	at     GroupReport     // of the holder
	bytes  map[shardmap.NodeID]int64
}

// holdings sorts the reports by group; index 0 is unused.
func (r *ClusterReport) holdings() []holding {
	hs := make([]holding, r.Groups+1)
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if int(g.Group) >= len(hs) {
				continue
			}
			h := &hs[g.Group]
			if h.bytes == nil {
				h.bytes = make(map[shardmap.NodeID]int64)
			}
			h.bytes[n.Node] = g.Bytes
			if g.Open {
				h.holder, h.at = n.Node, g
			}
		}
	}
	return hs
}

// moves compares what group 0 wants with what the holders have.
func (r *ClusterReport) moves(wanted []meta.Group) (ms []Move) {
	hs := r.holdings()
	for g := 1; g < len(hs) && g < len(wanted); g++ {
		h := hs[g]
		if h.holder == 0 || len(wanted[g].Replicas) < groupVoters {
			continue
		}
		m := Move{Group: shardmap.GroupID(g)}
		for _, w := range wanted[g].Replicas {
			if w.HoldsData() && !slices.Contains(h.at.Seats, w.Node) {
				m.To = append(m.To, w.Node)
				m.Bytes += h.at.Bytes
				m.Done += min(h.bytes[w.Node], h.at.Bytes)
			}
		}
		for _, s := range h.at.Seats {
			if w, ok := wanted[g].On(s); !ok || !w.HoldsData() {
				m.From = append(m.From, s)
			}
		}
		if len(m.To)+len(m.From) > 0 {
			ms = append(ms, m)
		}
	}
	return ms
}

// restarts says of each node that answered whether it can be restarted now: every group
// keeps a quorum, a whole copy, and, where there are three copies, a second one. voters
// are those of group 0.
func (r *ClusterReport) restarts(voters []shardmap.NodeID) {
	up := make([]shardmap.NodeID, 0, len(r.Nodes))
	for _, n := range r.Nodes {
		up = append(up, n.Node)
	}
	hs := r.holdings()
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.RestartWaits = without(n.Node, up, voters, hs)
		n.SafeToRestart = n.RestartWaits == ""
	}
}

// without says what speaks against the restart of a node, "" nothing.
func without(n shardmap.NodeID, up, voters []shardmap.NodeID, hs []holding) string {
	stays := func(set []shardmap.NodeID) (k int) {
		for _, m := range set {
			if m != n && slices.Contains(up, m) {
				k++
			}
		}
		return k
	}
	if len(up) < groupVoters {
		return fmt.Sprintf("no failover yet: %d of %d nodes", len(up), groupVoters)
	}
	if stays(voters) <= len(voters)/2 {
		return "group 0 would lose its quorum"
	}
	for g := 1; g < len(hs); g++ {
		h := hs[g]
		switch {
		case h.holder == 0:
			return fmt.Sprintf("group %d is not served", g)
		case stays(h.at.Voters) <= len(h.at.Voters)/2:
			return fmt.Sprintf("group %d would lose its quorum", g)
		}
		if !slices.Contains(h.at.Seats, n) {
			continue
		}
		whole := slices.DeleteFunc(append(slices.Clone(h.at.CaughtUp), h.holder), func(m shardmap.NodeID) bool { return !slices.Contains(h.at.Seats, m) })
		if copies, need := stays(whole), max(1, min(2, len(h.at.Seats)-1)); copies < need {
			return fmt.Sprintf("group %d would have %d whole copies", g, copies)
		}
	}
	return ""
}
