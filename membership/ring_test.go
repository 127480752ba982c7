package membership

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func drawNodes(t *rapid.T) []shardmap.NodeID {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) shardmap.NodeID {
		return shardmap.NodeID(rapid.IntRange(1, 500).Draw(t, "n"))
	}), 1, 12, rapid.ID).Draw(t, "nodes")
}

func TestPlansAreBalancedAndTheSameEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t)
		groups, copies := 64, rapid.IntRange(1, 5).Draw(t, "copies")
		plan := NewRing(nodes, 100).Plan(groups, copies)
		other := slices.Clone(nodes)
		slices.Reverse(other)
		if !reflect.DeepEqual(plan, NewRing(other, 100).Plan(groups, copies)) {
			t.Fatal("the order in which nodes are named matters")
		}
		copies = min(copies, len(nodes))
		load, leases := map[shardmap.NodeID]int{}, map[shardmap.NodeID]int{}
		for g := 1; g <= groups; g++ {
			seen := slices.Clone(plan[g])
			slices.Sort(seen)
			if len(slices.Compact(seen)) != len(nodes) {
				t.Fatalf("group %d: %v does not name every node once", g, plan[g])
			}
			for _, n := range plan[g][:copies] {
				load[n]++
			}
			leases[plan[g][0]]++
		}
		share := (groups*copies + len(nodes) - 1) / len(nodes)
		for _, n := range nodes {
			if load[n] > share+(share+9)/10+copies {
				t.Fatalf("node %d has %d copies, the share is %d", n, load[n], share)
			}
			if leases[n] > (groups+len(nodes)-1)/len(nodes)+groups/8+1 {
				t.Fatalf("node %d prefers %d of %d leases on %d nodes", n, leases[n], groups, len(nodes))
			}
		}
	})
}

func TestOneMoreNodeMovesFewGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t)
		more := append(slices.Clone(nodes), 1000)
		before, after := NewRing(nodes, 100), NewRing(more, 100)
		for g := shardmap.GroupID(1); g <= 64; g++ {
			a := slices.DeleteFunc(after.Order(g), func(n shardmap.NodeID) bool { return n == 1000 })
			if !slices.Equal(before.Order(g), a) {
				t.Fatalf("group %d: %v became %v", g, before.Order(g), a)
			}
		}
	})
}
