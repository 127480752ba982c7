package membership

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// point is one virtual node.
type point struct {
	at   uint64
	node shardmap.NodeID
}

// Ring is a consistent-hash ring: each node stands on it many times, and a group
// belongs to the nodes that follow its own point. It is a pure function of the
// nodes and the number of virtual nodes, so every node computes the same.
type Ring struct {
	points []point
	nodes  []shardmap.NodeID
	own    map[shardmap.NodeID][]uint64 // each node's points, in order
}

// NewRing places every node virtualNodes times.
func NewRing(nodes []shardmap.NodeID, virtualNodes int) *Ring {
	r := &Ring{nodes: slices.Clone(nodes), own: make(map[shardmap.NodeID][]uint64)}
	slices.Sort(r.nodes)
	r.nodes = slices.Compact(r.nodes)
	for _, n := range r.nodes {
		for v := range virtualNodes {
			r.points = append(r.points, point{hash('n', uint64(n), uint64(v)), n})
		}
	}
	slices.SortFunc(r.points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.node, b.node))
	})
	for _, p := range r.points {
		r.own[p.node] = append(r.own[p.node], p.at)
	}
	return r
}

func hash(kind byte, a, b uint64) uint64 {
	var buf [17]byte
	buf[0] = kind
	binary.BigEndian.PutUint64(buf[1:], a)
	binary.BigEndian.PutUint64(buf[9:], b)
	return xxhash.Sum64(buf[:])
}

// Walk visits nodes in the order in which the ring prefers them for a group, some more
// than once, until visit says that it is enough.
func (r *Ring) Walk(g shardmap.GroupID, visit func(shardmap.NodeID) (enough bool)) {
	at := hash('g', uint64(g), 0)
	start, _ := slices.BinarySearchFunc(r.points, at, func(p point, at uint64) int { return cmp.Compare(p.at, at) })
	for i := range r.points {
		if visit(r.points[(start+i)%len(r.points)].node) {
			return
		}
	}
}

// distance is how far a group's point is from the next point of a node: the ring
// prefers the nearest.
func (r *Ring) distance(g shardmap.GroupID, n shardmap.NodeID) uint64 {
	ps := r.own[n]
	if len(ps) == 0 {
		return ^uint64(0)
	}
	at := hash('g', uint64(g), 0)
	i, _ := slices.BinarySearch(ps, at)
	return ps[i%len(ps)] - at // wraps around as the ring does
}
