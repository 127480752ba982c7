package meta

import (
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Recovery is operators' word that nodes are gone for good, and what it cost: which
// groups went on without the majority of their voters.
type Recovery struct {
	Generation uint64      `json:"generation"` // rises with every recovery
	Nodes      []Forsaken  `json:"nodes"`
	Groups     []Continued `json:"groups"`          // that went on with what one survivor had
	Empty      []Refounded `json:"empty,omitempty"` // of which no survivor had anything
	At         int64       `json:"at,omitempty"`    // unix ms, by the clock of the node that was asked
}

// Continued is a group that lost its majority and goes on with one survivor.
type Continued struct {
	Group   shardmap.GroupID `json:"group"`
	Node    shardmap.NodeID  `json:"node"`
	Replica uint64           `json:"replica"` // number of its replica, the only one that votes
	Role    Role             `json:"role"`    // Voter or Witness
}

// Forsaken is a node that was declared gone.
type Forsaken struct {
	ID   shardmap.NodeID `json:"id"`
	Name string          `json:"name"`
}

// Refounded is a group that begins anew, empty, on one node.
type Refounded struct {
	Group   shardmap.GroupID `json:"group"`
	Node    shardmap.NodeID  `json:"node"`
	Replica uint64           `json:"replica"` // number of its replica there
}

// RefoundedReplica is the number of a replica with which a group begins anew: who plans
// that may not have group 0, which mints the others: in generation 0 far below, and then above.
func RefoundedReplica(generation uint64) uint64 { return generation << 24 }

// Generation is that of the last recovery, 0 when there was none.
func (s *State) Generation() uint64 {
	if n := len(s.Recoveries); n > 0 {
		return s.Recoveries[n-1].Generation
	}
	return 0
}

// Forsook reports whether a node was declared gone. Nothing that it says counts.
func (s *State) Forsook(n shardmap.NodeID) bool {
	for i := range s.Recoveries {
		if slices.ContainsFunc(s.Recoveries[i].Nodes, func(f Forsaken) bool { return f.ID == n }) {
			return true
		}
	}
	return false
}

// recover takes nodes out for good: their data directories may never come back, and the
// groups that go on want nothing of them. What is wanted of groups that kept their majority
// stays until the placement changes it: to take one of three voters out would leave two.
// A recovery that is the same or older than the last is a no-op.
func (s *State) recover(r Recovery) bool {
	if r.Generation <= s.Generation() {
		return false
	}
	for _, f := range r.Nodes {
		at := s.index(f.ID)
		if at < 0 {
			continue
		}
		if u := s.Nodes[at].UUID; !s.WasRemoved(u) {
			s.Removed = append(s.Removed, u)
		}
		s.Nodes = slices.Delete(slices.Clone(s.Nodes), at, at+1)
	}
	for _, c := range r.Groups {
		s.goOn(c)
	}
	for _, e := range r.Empty {
		if int(e.Group) >= len(s.Groups) || s.index(e.Node) < 0 {
			continue
		}
		g := &s.Groups[e.Group]
		g.Replicas = []Replica{{ID: e.Replica, Node: e.Node, Role: Voter}}
		g.Version++
	}
	s.mintAbove(r.Generation)
	s.Recoveries = append(slices.Clone(s.Recoveries), r)
	return true
}

// FirstNode is the lowest id of a node that joins in a generation.
func FirstNode(generation uint64) uint32 { return uint32(generation) << 16 }

// mintAbove lets ids of a generation begin above all that others can have minted: what
// group 0 decided last may have been known to nobody who is left, and replicas and nodes
// of it may run.
func (s *State) mintAbove(generation uint64) {
	s.NextNode = max(s.NextNode, FirstNode(generation))
	for i := range s.Groups {
		g := &s.Groups[i]
		g.NextReplica = max(g.NextReplica, RefoundedReplica(generation)+1)
	}
}

// goOn wants of a group what it has: the survivor votes, and those learn of the others that
// were wanted and have not gone.
func (s *State) goOn(c Continued) {
	if int(c.Group) >= len(s.Groups) {
		return
	}
	g := &s.Groups[c.Group]
	next := []Replica{{ID: c.Replica, Node: c.Node, Role: c.Role}}
	for _, r := range g.Replicas {
		if s.index(r.Node) >= 0 && r.Node != c.Node && r.Role != Witness {
			next = append(next, Replica{ID: r.ID, Node: r.Node, Role: Learner})
		}
	}
	g.Replicas = next
	g.Version++
}
