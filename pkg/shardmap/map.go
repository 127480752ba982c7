package shardmap

import (
	"crypto/sha1"
	"encoding/hex"
	"slices"
)

// Route says who holds a group. A route with a higher epoch is newer; epochs
// are minted by the group's raft log, so two routes of one epoch are equal.
type Route struct {
	Group  GroupID
	Epoch  uint32 // 0 = no holder was ever known
	Leader NodeID
}

// NodeInfo is what clients need to know of a node.
type NodeInfo struct {
	ID   NodeID
	Name string // the --id string
	Host string // announced client host, without brackets
	Port int    // announced client port
}

// HexID is the 40-character id that CLUSTER replies use: SHA-1 of the name.
func (n NodeInfo) HexID() string {
	sum := sha1.Sum([]byte(n.Name))
	return hex.EncodeToString(sum[:])
}

// Map says which node holds which group. It is immutable: With and WithNodes
// give new maps, so readers need no lock.
type Map struct {
	layout   Layout
	routes   []Route // index GroupID; 0 unused
	nodes    []NodeInfo
	registry uint64 // version of the node list
	epoch    uint64
}

// NewMap is a map in which nobody holds anything.
func NewMap(l Layout) *Map {
	m := &Map{layout: l, routes: make([]Route, l.Groups+1)}
	for i := range m.routes {
		m.routes[i].Group = GroupID(i)
	}
	return m
}

// Layout is the division of slots that the map is for.
func (m *Map) Layout() Layout { return m.layout }

// Epoch names the content: it is the sum of all route epochs and the version of
// the node list, so it rises with every change, and nodes that know the same
// routes agree on it without a counter to share.
func (m *Map) Epoch() uint64 { return m.epoch }

// With is the map with one route merged: the newer epoch wins, an older one
// returns m itself, so the order of merging does not matter.
func (m *Map) With(r Route) *Map {
	if int(r.Group) >= len(m.routes) || r.Group == MetaGroup || r.Epoch <= m.routes[r.Group].Epoch {
		return m
	}
	n := *m
	n.routes = slices.Clone(m.routes)
	n.epoch += uint64(r.Epoch - n.routes[r.Group].Epoch)
	n.routes[r.Group] = r
	return &n
}

// WithNodes is the map with another node list, unless version is not newer.
func (m *Map) WithNodes(version uint64, nodes []NodeInfo) *Map {
	if version <= m.registry {
		return m
	}
	n := *m
	n.nodes = slices.Clone(nodes)
	slices.SortFunc(n.nodes, func(a, b NodeInfo) int { return int(a.ID) - int(b.ID) })
	n.epoch += version - m.registry
	n.registry = version
	return &n
}

// Nodes lists the nodes by id; read-only.
func (m *Map) Nodes() []NodeInfo { return m.nodes }

// Node finds a node.
func (m *Map) Node(id NodeID) (NodeInfo, bool) {
	i, ok := slices.BinarySearchFunc(m.nodes, id, func(n NodeInfo, id NodeID) int { return int(n.ID) - int(id) })
	if !ok {
		return NodeInfo{}, false
	}
	return m.nodes[i], true
}

// Route is what is known of a group.
func (m *Map) Route(g GroupID) Route { return m.routes[g] }

// LeaderOf is the node that holds the slot, 0 when none was ever known.
func (m *Map) LeaderOf(s Slot) NodeID {
	return m.routes[m.layout.GroupOf(m.layout.ShardOf(s))].Leader
}

// SlotSpan is a run of slots held by one node.
type SlotSpan struct {
	First, Last Slot
	Leader      NodeID
}

// Spans lists the held slots in order; neighbours of one holder are merged.
func (m *Map) Spans() []SlotSpan {
	var spans []SlotSpan
	for g := 1; g < len(m.routes); g++ {
		r := m.routes[g]
		if r.Leader == 0 {
			continue
		}
		first, _ := m.layout.SlotRange(m.layout.FirstShard(r.Group))
		_, last := m.layout.SlotRange(m.layout.FirstShard(r.Group) + ShardID(m.layout.ShardsPerGroup()-1))
		if n := len(spans); n > 0 && spans[n-1].Leader == r.Leader && spans[n-1].Last+1 == first {
			spans[n-1].Last = last
			continue
		}
		spans = append(spans, SlotSpan{first, last, r.Leader})
	}
	return spans
}
