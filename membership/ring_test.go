package membership

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestOneMoreNodeDoesNotChangeTheOrderOfTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) shardmap.NodeID {
			return shardmap.NodeID(rapid.IntRange(1, 500).Draw(t, "n"))
		}), 1, 12, rapid.ID).Draw(t, "nodes")
		before, after := NewRing(nodes, 100), NewRing(append(slices.Clone(nodes), 1000), 100)
		for g := shardmap.GroupID(1); g <= 64; g++ {
			a := slices.DeleteFunc(order(after, g), func(n shardmap.NodeID) bool { return n == 1000 })
			b := order(before, g)
			if !slices.Equal(b, a) {
				t.Fatalf("group %d: %v became %v", g, b, a)
			}
			for i := 1; i < len(b); i++ {
				if before.distance(g, b[i-1]) > before.distance(g, b[i]) {
					t.Fatalf("group %d meets node %d before %d, which is nearer", g, b[i-1], b[i])
				}
			}
		}
	})
}

// order lists all nodes as the ring prefers them for a group.
func order(r *Ring, g shardmap.GroupID) (nodes []shardmap.NodeID) {
	r.Walk(g, func(n shardmap.NodeID) bool {
		if !slices.Contains(nodes, n) {
			nodes = append(nodes, n)
		}
		return false
	})
	return nodes
}
