package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// reportOf is what the cluster says of one node, nil when it does not answer.
func reportOf(t *testing.T, asked *Node, name string) (ClusterReport, *NodeReport) {
	t.Helper()
	r, err := asked.Status(2 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(r.Nodes, func(n NodeReport) bool { return n.Name == name }); i >= 0 {
		return r, &r.Nodes[i]
	}
	return r, nil
}

// TestANodeIsDrainedTakenBackAndLeaves goes the whole way of a node, asking another one.
func TestANodeIsDrainedTakenBackAndLeaves(t *testing.T) {
	nodes := settledNodes(t, 4)
	first := nodes[0]
	var plan PlanReport
	if err := operated(first, &plan, "rebalance"); err != nil || len(plan.Steps) != 0 || plan.Copies != 3*64 {
		t.Fatalf("a cluster at rest plans %d steps of %d copies, %v", len(plan.Steps), plan.Copies, err)
	}
	if err := operated(first, &plan, "rebalance", "n4"); err != nil || len(plan.Steps) != 48 || plan.Share != 0.25 {
		t.Fatalf("without n4 %d of %d copies move, want 48 of 192; %v", len(plan.Steps), plan.Copies, err)
	}
	for _, s := range plan.Steps {
		if s.From != nodes[3].self || s.To == 0 {
			t.Fatalf("a step that is not n4's: %+v", s)
		}
	}
	intend := func(word, name string, want meta.Intent, changed bool) {
		t.Helper()
		var r IntentReport
		if err := operated(first, &r, word, name); err != nil || r.Intent != want.String() || r.Changed != changed {
			t.Fatalf("%s %s: %+v, %v", word, name, r, err)
		}
	}
	intend("drain", "n4", meta.Draining, true)
	intend("drain", nodes[3].cfg.ClientAddr, meta.Draining, false)
	until(t, "n4 has no leases, all its copies, and may be restarted", func() bool {
		r, n := reportOf(t, first, "n4")
		return holds(t, nodes)["n4"] == 0 && n != nil && n.Intent == "draining" && len(n.Groups) == 48 && r.Healthy && n.SafeToRestart
	})
	intend("decommission", fmt.Sprint(uint32(nodes[3].self)), meta.Leaving, true)
	intend("undrain", "n4", meta.Active, true)
	until(t, "n4 has its copies and leases again", func() bool {
		r, n := reportOf(t, first, "n4")
		return n != nil && len(n.Groups) == 48 && holds(t, nodes)["n4"] > 10 && r.Healthy
	})
	if bad := unready(nodes[3]); bad != "" {
		t.Errorf("n4 takes no clients: %s", bad)
	}
	intend("decommission", "n4", meta.Leaving, true)
	until(t, "n4 takes no clients", func() bool { return strings.Contains(unready(nodes[3]), "operators have taken this node out") })
	until(t, "n4 has left", func() bool { _, err := os.Stat(nodes[3].dir.file(goneName)); return err == nil })
	until(t, "nobody knows n4", func() bool {
		r, n := reportOf(t, first, "n4")
		return n == nil && len(r.Silent) == 0 && r.Healthy
	})
	for _, c := range [][]string{
		{"decommission", "n3", "3 are needed"},
		{"drain", "n33", `no such node "n33", did you mean n3?`},
		{"undrain", "n4", `no such node "n4"`},
	} {
		var r IntentReport
		if err := operated(first, &r, c[:2]...); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q: %v", c, err)
		}
	}
	again := nodes[3].cfg
	again.Seeds = nil
	until(t, "n4 has ended and cannot start again", func() bool {
		_, err := New(again, nodes[3].log)
		return err != nil && strings.Contains(err.Error(), "for good")
	})
}

// unready is the first thing that keeps clients from a node.
func unready(n *Node) string {
	for _, c := range n.checks(context.Background()) {
		if c.why != "" {
			return c.why
		}
	}
	return ""
}

func TestSafeToRestart(t *testing.T) {
	full := func() ClusterReport {
		r := ClusterReport{Groups: 1}
		for n := shardmap.NodeID(1); n <= 4; n++ {
			g := GroupReport{Group: 1}
			if n == 1 {
				g = GroupReport{Group: 1, Open: true, Voters: []shardmap.NodeID{1, 2, 3}, Seats: []shardmap.NodeID{1, 2, 3}, CaughtUp: []shardmap.NodeID{2, 3}}
			}
			r.Nodes = append(r.Nodes, NodeReport{Node: n, Groups: []GroupReport{g}})
		}
		return r
	}
	for _, c := range []struct {
		name string
		do   func(*ClusterReport)
		node shardmap.NodeID
		why  string
	}{
		{"all is well", func(*ClusterReport) {}, 2, ""},
		{"the holder", func(*ClusterReport) {}, 1, ""},
		{"another copy is not whole", func(r *ClusterReport) { r.Nodes[0].Groups[0].CaughtUp = []shardmap.NodeID{2} }, 1, "1 whole copies"},
		{"a node without a copy, while one is not whole", func(r *ClusterReport) { r.Nodes[0].Groups[0].CaughtUp = nil }, 4, ""},
		{"another voter is down", func(r *ClusterReport) { r.Nodes = append(r.Nodes[:2], r.Nodes[3]) }, 1, "lose its quorum"},
		{"nobody holds the group", func(r *ClusterReport) { r.Nodes[0].Groups[0].Open = false }, 4, "not served"},
		{"two nodes", func(r *ClusterReport) { r.Nodes = r.Nodes[:2] }, 1, "no failover yet"},
	} {
		r := full()
		c.do(&r)
		r.restarts([]shardmap.NodeID{1, 2, 3})
		i := slices.IndexFunc(r.Nodes, func(n NodeReport) bool { return n.Node == c.node })
		if n := r.Nodes[i]; n.SafeToRestart != (c.why == "") || !strings.Contains(n.RestartWaits, c.why) {
			t.Errorf("%s: safe %v, %q; want %q", c.name, n.SafeToRestart, n.RestartWaits, c.why)
		}
	}
}
