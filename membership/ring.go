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
}

// NewRing places every node virtualNodes times.
func NewRing(nodes []shardmap.NodeID, virtualNodes int) *Ring {
	r := &Ring{nodes: slices.Clone(nodes)}
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
	return r
}

func hash(kind byte, a, b uint64) uint64 {
	var buf [17]byte
	buf[0] = kind
	binary.BigEndian.PutUint64(buf[1:], a)
	binary.BigEndian.PutUint64(buf[9:], b)
	return xxhash.Sum64(buf[:])
}

// Order lists all nodes in the order in which the ring prefers them for a group.
func (r *Ring) Order(g shardmap.GroupID) []shardmap.NodeID {
	order := make([]shardmap.NodeID, 0, len(r.nodes))
	if len(r.points) == 0 {
		return order
	}
	at := hash('g', uint64(g), 0)
	start, _ := slices.BinarySearchFunc(r.points, at, func(p point, at uint64) int { return cmp.Compare(p.at, at) })
	for i := 0; i < len(r.points) && len(order) < len(r.nodes); i++ {
		if n := r.points[(start+i)%len(r.points)].node; !slices.Contains(order, n) {
			order = append(order, n)
		}
	}
	return order
}

// Plan gives, for groups 1..groups, all nodes in order of preference: the first
// copies of them should hold the data, the first of all the lease. No node gets
// much more than a tenth above its share of copies (bounded load), and leases are
// spread so that no node prefers to hold two more than another. Index 0 is unused.
func (r *Ring) Plan(groups, copies int) [][]shardmap.NodeID {
	plan := make([][]shardmap.NodeID, groups+1)
	if len(r.nodes) == 0 {
		return plan
	}
	copies = min(copies, len(r.nodes))
	share := (groups*copies + len(r.nodes) - 1) / len(r.nodes)
	limit := share + (share+9)/10
	load := make(map[shardmap.NodeID]int)
	leases := make(map[shardmap.NodeID]int)
	for g := 1; g <= groups; g++ {
		order := r.Order(shardmap.GroupID(g))
		slices.SortStableFunc(order, func(a, b shardmap.NodeID) int { return boolInt(load[a] >= limit) - boolInt(load[b] >= limit) })
		for _, n := range order[:copies] {
			load[n]++
		}
		first := 0
		for i := range order[:copies] {
			if leases[order[i]] < leases[order[first]] {
				first = i
			}
		}
		n := order[first]
		leases[n]++
		plan[g] = append([]shardmap.NodeID{n}, slices.Delete(order, first, first+1)...)
	}
	return plan
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
