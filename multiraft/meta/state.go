package meta

import (
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// UUID identifies one data directory for ever.
type UUID [16]byte

// Settings are fixed when the cluster is founded; a joiner takes them or refuses.
type Settings struct {
	Shards            int    `json:"shards"`
	Groups            int    `json:"groups"`
	VirtualNodes      int    `json:"virtualNodes"`
	ReplicationFactor int    `json:"replicationFactor"`
	HashKey           uint64 `json:"hashKey"` // keys SipHash for bucket ranges, EVICT and digests on every node
}

// Layout is the division of slots that these settings fix.
func (s Settings) Layout() shardmap.Layout {
	return shardmap.Layout{Shards: s.Shards, Groups: s.Groups}
}

// Addresses are the announced host:port of a node's planes.
type Addresses struct {
	Client  string `json:"client"`
	Cluster string `json:"cluster"`
	Gossip  string `json:"gossip"`
}

// Node is one row of the registry.
type Node struct {
	ID        shardmap.NodeID `json:"id"`
	UUID      UUID            `json:"uuid"`
	Name      string          `json:"name"`
	Addresses Addresses       `json:"addresses"`
	DataBytes int64           `json:"dataBytes"` // memory for stores: limit minus rings and reserve
	// Generation counts the starts whose row has been applied; a late row of an older start changes nothing.
	Generation uint64 `json:"generation"`
	// Revision counts the changes of the row within one start.
	Revision uint32 `json:"revision,omitempty"`
	// Zone names what the node shares its fate with (a rack, a data centre); "" = none is known.
	Zone string `json:"zone,omitempty"`
	// Intent is what operators want of the node. It is theirs: a row that the node
	// itself sends does not change it.
	Intent Intent `json:"intent,omitempty"`
	// IntentVersion counts the changes of Intent.
	IntentVersion uint64 `json:"intentVersion,omitempty"`
	// Absent says that the node is leaving because it was missed, which no operator has
	// asked for: it stays if it is heard again before it is gone.
	Absent bool `json:"absent,omitempty"`
}

// Supersedes reports whether the row says something newer than an old one of the
// same node.
func (n Node) Supersedes(old Node) bool {
	if n.Generation != old.Generation {
		return n.Generation > old.Generation
	}
	return n.Revision > old.Revision
}

// Intent is what operators want of a node. It outlives restarts of the node.
type Intent uint8

// Intents, in the order in which a node leaves. Older formats know none: active.
const (
	Active   Intent = iota
	Draining        // its leases go elsewhere, its copies stay
	Leaving         // its copies go elsewhere too
	Gone            // its data directory may never come back; the row stays until its replica of group 0 is out
)

var intentWords = [...]string{"active", "draining", "leaving", "gone"}

// String is the word for operators.
func (i Intent) String() string {
	if int(i) < len(intentWords) {
		return intentWords[i]
	}
	return "unknown"
}

// Places reports whether a node with this intent may have copies.
func (i Intent) Places() bool { return i <= Draining }

// Role says what a replica does in its group.
type Role uint8

// Roles of a replica. A voter of a data group also holds data; a witness votes
// and promises but holds none; a learner holds data and does not vote.
const (
	Voter Role = iota + 1
	Learner
	Witness
)

// Replica is one desired replica of a group. ID is minted at apply and never reused.
type Replica struct {
	ID   uint64          `json:"id"`
	Node shardmap.NodeID `json:"node"`
	Role Role            `json:"role"`
}

// HoldsData reports whether the replica keeps a copy of the group's shards.
func (r Replica) HoldsData() bool { return r.Role != Witness }

// Group is what group 0 wants of one group; its holder drives the raft
// configuration toward it. Replicas stand in order of lease preference.
type Group struct {
	Version     uint64    `json:"version"` // rises with every change
	Replicas    []Replica `json:"replicas"`
	NextReplica uint64    `json:"nextReplica"`
	BudgetBytes int64     `json:"budgetBytes"`
}

// State is the whole of group 0. Treat what its methods return as read-only.
type State struct {
	Cluster  UUID     `json:"cluster"`
	Settings Settings `json:"settings"`
	Nodes    []Node   `json:"nodes"` // sorted by ID
	NextNode uint32   `json:"nextNode"`
	Removed  []UUID   `json:"removed"` // data directories that may never come back
	Groups   []Group  `json:"groups"`  // index = GroupID; 0 is the meta group itself
	Version  uint64   `json:"version"` // rises with every applied change
	// Recoveries are what operators decided when majorities were lost, oldest first.
	Recoveries []Recovery `json:"recoveries,omitempty"`
	// Halted says that copies stay where they are for load's sake, because operators want
	// that. It is no matter of one node, so it outlives all of them, and a recovery. Older
	// formats know of none: rebalancing goes on.
	Halted bool `json:"halted,omitempty"`
	// HaltVersion counts the changes of Halted.
	HaltVersion uint64 `json:"haltVersion,omitempty"`
}

// Founding is the record every founder makes durable before the cluster exists, and
// every joiner before it takes part.
type Founding struct {
	Cluster  UUID     `json:"cluster"`
	Settings Settings `json:"settings"`
	Nodes    []Node   `json:"nodes"` // ids 1..n in the agreed order

	// A node that joined later keeps what it was told then, until group 0 fills it.
	MetaReplica uint64 `json:"metaReplica,omitempty"` // number of its replica of group 0
	Contacts    []Node `json:"contacts,omitempty"`    // the nodes there were
}

// New is the state that every founder starts from: the same record and plan
// give the same state, so it can stand in the index-1 snapshot.
func New(f Founding, plan []Placement) *State {
	s := &State{Cluster: f.Cluster, Settings: f.Settings, Nodes: slices.Clone(f.Nodes), Version: 1}
	slices.SortFunc(s.Nodes, func(a, b Node) int { return int(a.ID) - int(b.ID) })
	for _, n := range s.Nodes {
		s.NextNode = max(s.NextNode, uint32(n.ID))
	}
	s.NextNode++
	s.Groups = make([]Group, f.Settings.Groups+1)
	for i := range s.Groups {
		s.Groups[i].NextReplica = 1
	}
	for _, p := range plan {
		s.place(p)
	}
	return s
}

// Node finds a registered node.
func (s *State) Node(id shardmap.NodeID) (Node, bool) {
	if i := s.index(id); i >= 0 {
		return s.Nodes[i], true
	}
	return Node{}, false
}

// index is where the row of a node is, -1 nowhere.
func (s *State) index(id shardmap.NodeID) int {
	i, ok := slices.BinarySearchFunc(s.Nodes, id, func(n Node, id shardmap.NodeID) int { return int(n.ID) - int(id) })
	if !ok {
		return -1
	}
	return i
}

// ByUUID finds the node that owns a data directory.
func (s *State) ByUUID(u UUID) (Node, bool) {
	for _, n := range s.Nodes {
		if n.UUID == u {
			return n, true
		}
	}
	return Node{}, false
}

// Group is what is wanted of group g; the zero Group when g does not exist.
func (s *State) Group(g shardmap.GroupID) Group {
	if int(g) >= len(s.Groups) {
		return Group{}
	}
	return s.Groups[g]
}

// On is the desired replica of a group on one node.
func (g Group) On(n shardmap.NodeID) (Replica, bool) {
	for _, r := range g.Replicas {
		if r.Node == n {
			return r, true
		}
	}
	return Replica{}, false
}

// WasRemoved reports whether the data directory has been removed for good.
func (s *State) WasRemoved(u UUID) bool { return slices.Contains(s.Removed, u) }
