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
	// Rate is how many bytes of fills the holder of the group sends a second, now.
	Rate int64 `json:"bytesPerSecond"`
}

// Moving is how far all moves are together, those that wait for their turn included.
type Moving struct {
	Copies int   `json:"copies"`    // that are not there yet
	Left   int64 `json:"leftBytes"` // of them, about
	Rate   int64 `json:"bytesPerSecond"`
	// Seconds is how long that takes at this rate; 0 when it is not known.
	Seconds float64 `json:"leftSeconds"`
}

// Halted is what does not move because operators have halted rebalancing.
type Halted struct {
	Copies int    `json:"copies"` // that would move if it went on
	Bytes  int64  `json:"bytes"`  // of them, about
	Note   string `json:"note"`   // what that means and what to do about it
}

// heldBack is what a plan has that is for load's sake, beside what goes on in any case.
func heldBack(all, anyway PlanReport) *Halted {
	copies := func(p PlanReport) (n int) {
		for _, s := range p.Steps {
			if s.To != 0 {
				n++
			}
		}
		return n
	}
	h := Halted{Copies: max(copies(all)-copies(anyway), 0), Bytes: max(all.Bytes-anyway.Bytes, 0)}
	h.Note = fmt.Sprintf("rebalancing is halted by an operator: %d copies (%s) that would move stay where they are. Copies that are missing, and those of "+
		"nodes that are decommissioned, are made elsewhere all the same. Let it go on with: aegis rebalance --resume", h.Copies, About(h.Bytes))
	return &h
}

// moving adds up what is on its way, and what waits for its turn: as much as the steps of
// a plan from what the nodes have now to what is wanted in the end.
func (r *ClusterReport) moving(steps []Step) *Moving {
	var m Moving
	waits := make(map[shardmap.GroupID]bool)
	for _, s := range steps {
		if s.To != 0 {
			m.Copies, m.Left, waits[s.Group] = m.Copies+1, m.Left+s.Bytes, true
		}
	}
	for _, mv := range r.Moves {
		if !waits[mv.Group] { // on its way to what is not wanted any more, or not in the plan yet
			m.Copies, m.Left = m.Copies+len(mv.To), m.Left+mv.Bytes
		}
		m.Left -= mv.Done
	}
	for _, n := range r.Nodes {
		m.Rate += n.FillRate
	}
	if m.Left = max(m.Left, 0); m.Rate > 0 {
		m.Seconds = float64(m.Left) / float64(m.Rate)
	}
	return &m
}

// holding is what the nodes that answered have of one group.
type holding struct {
	holder shardmap.NodeID // 0: nobody serves it
	at     GroupReport     // of the holder
	whole  []shardmap.NodeID
	bytes  map[shardmap.NodeID]int64
}

// there are the nodes that have a copy where so many replicas are wanted: those with a
// seat, and where there are too few nodes for seats, whoever says that its copy is whole.
func (h holding) there(replicas int) []shardmap.NodeID {
	if replicas < groupVoters {
		return h.whole
	}
	return h.at.Seats
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
			if g.Whole {
				h.whole = append(h.whole, n.Node)
			}
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
		if h.holder == 0 {
			continue
		}
		there := h.there(len(wanted[g].Replicas))
		m := Move{Group: shardmap.GroupID(g), Rate: h.at.FillRate}
		for _, w := range wanted[g].Replicas {
			if w.HoldsData() && !slices.Contains(there, w.Node) {
				m.To = append(m.To, w.Node)
				m.Bytes += h.at.Bytes
				m.Done += min(h.bytes[w.Node], h.at.Bytes)
			}
		}
		for _, s := range there {
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
