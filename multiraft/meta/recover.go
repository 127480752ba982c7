package meta

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	By         Maker       `json:"by"`
	Survivors  int         `json:"survivors"` // nodes that had a part in it
}

// Maker is the start of the node that made a plan: no other start makes the same one.
type Maker struct {
	Node    shardmap.NodeID `json:"node"`
	Counter uint64          `json:"counter"` // of its incarnation
	Order   uint64          `json:"order"`   // of its recoveries within that
}

// Mark names a recovery. Two of one generation, of nodes that were cut off from each other
// and were each told that the other one is gone, have different marks, and the higher one
// stands: that with more survivors, and of as many that of the higher maker.
func (r Recovery) Mark() string {
	m := fmt.Sprintf("%03d.%05d.%010d.%d.%d gone", r.Generation, r.Survivors, r.By.Node, r.By.Counter, r.By.Order)
	for _, f := range r.Nodes {
		m += fmt.Sprintf(" %d", f.ID)
	}
	return m
}

// ofMark reads the maker of a mark, and who was declared gone by it.
func ofMark(mark string) (by shardmap.NodeID, gone []shardmap.NodeID) {
	var g, n, c, o uint64
	if k, _ := fmt.Sscanf(mark, "%d.%d.%d.%d.%d gone", &g, &n, &by, &c, &o); k != 5 {
		return 0, nil
	}
	_, list, _ := strings.Cut(mark, " gone")
	for _, w := range strings.Fields(list) {
		if id, err := strconv.ParseUint(w, 10, 32); err == nil {
			gone = append(gone, shardmap.NodeID(id))
		}
	}
	return by, gone
}

// Marks are those of all recoveries, the oldest first.
func (s *State) Marks() (marks []string) {
	for _, r := range s.Recoveries {
		marks = append(marks, r.Mark())
	}
	return marks
}

// Parted reports whether this node goes by a recovery that declared the maker of another
// one gone, and the other way round, and whether this one has to yield. Who only knows fewer
// of the same is not parted; and where the later word knew of the earlier maker, and not the
// other way round, that maker was removed, and hears it.
func (s *State) Parted(theirs []string) (parted, yields bool) {
	for i := range min(len(theirs), len(s.Recoveries)) {
		mine := s.Recoveries[i]
		if mine.Mark() == theirs[i] {
			continue
		}
		by, gone := ofMark(theirs[i])
		parted = by != 0 && slices.Contains(gone, mine.By.Node) &&
			slices.ContainsFunc(mine.Nodes, func(f Forsaken) bool { return f.ID == by })
		return parted, parted && mine.Mark() < theirs[i]
	}
	return false, false
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
	ID     shardmap.NodeID `json:"id"`
	Name   string          `json:"name"`
	Gossip string          `json:"gossip,omitempty"` // where it was: it may run, and go on there
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
