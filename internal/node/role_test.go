package node

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestARoleThatChangesOnItsNode: with fewer data replicas than voters a node that
// joins turns witnesses into replicas with data and the other way round. Such a replica
// gets a new id on the node it lives on, so the old one there must give way.
func TestARoleThatChangesOnItsNode(t *testing.T) {
	t.Run("one, two, three nodes", func(t *testing.T) { growRoles(t, 1, 3) })
	t.Run("three, four nodes", func(t *testing.T) { growRoles(t, 3, 4) })
}

func growRoles(t *testing.T, first, last int) {
	ports := freePorts(t, 12)
	dir := t.TempDir()
	start := func(i, seeds int) *Node {
		cfg := DefaultConfig()
		cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes, cfg.LeaseProfile = fmt.Sprintf("n%d", i+1), dir, 64<<20, "noisy"
		cfg.ReplicationFactor, cfg.NumShards = 2, 64
		cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ports[3*i], ports[3*i+1], ports[3*i+2]
		for j := 0; seeds > 1 && j < seeds || i > 0 && j == 0; j++ {
			cfg.Seeds = append(cfg.Seeds, ports[3*j+2])
		}
		n, err := New(cfg, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		return n
	}
	var nodes []*Node
	settled := func(d time.Duration) (bad []string) {
		for begun := time.Now(); time.Since(begun) < d; time.Sleep(100 * time.Millisecond) {
			if bad = unlikeWanted(nodes); len(bad) == 0 {
				return nil
			}
		}
		return bad
	}
	for i := range first {
		nodes = append(nodes, start(i, first))
	}
	for {
		if bad := settled(2 * time.Minute); len(bad) > 0 {
			t.Errorf("two minutes after node %d joined %d of 64 groups are not as group 0 wants them, first: %s", len(nodes), len(bad), bad[0])
		}
		if len(nodes) == last {
			return
		}
		nodes = append(nodes, start(len(nodes), first))
	}
}

// unlikeWanted names the groups whose applied configuration differs from the wanted one.
func unlikeWanted(nodes []*Node) (bad []string) {
	seen := map[shardmap.GroupID]bool{}
	for _, n := range nodes {
		core := n.standing()
		if core == nil {
			return []string{"a node does not stand"}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = n.host.Do(ctx, func(multiraft.Instant) {
			if core.meta == nil {
				return
			}
			for g := 1; g <= core.meta.Settings.Groups; g++ {
				id := shardmap.GroupID(g)
				st, ok := core.raft.Group(id)
				if !ok || !st.Open {
					continue
				}
				seen[id] = true
				var want, have []uint64
				for _, d := range describeAll(core.meta.Group(id)) {
					want = append(want, d.ID)
				}
				for _, d := range append(slices.Clone(st.Config.Voters), st.Config.Learners...) {
					have = append(have, d.ID)
				}
				slices.Sort(want)
				slices.Sort(have)
				if !slices.Equal(want, have) || len(st.Config.Voters)%2 == 0 || len(core.meta.Nodes) != len(nodes) {
					bad = append(bad, fmt.Sprintf("group %d has %d voters: %x, wanted %x", id, len(st.Config.Voters), have, want))
				}
			}
		})
		cancel()
	}
	if len(seen) < 64 {
		bad = append(bad, fmt.Sprintf("%d groups are served", len(seen)))
	}
	return bad
}
