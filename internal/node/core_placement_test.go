package node

import (
	"reflect"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestVoterCountsStayOdd(t *testing.T) {
	w := func(n shardmap.NodeID, r meta.Role) meta.Wanted { return meta.Wanted{Node: n, Role: r} }
	onTwo := meta.Group{Replicas: []meta.Replica{{ID: 1, Node: 2, Role: meta.Voter}}}
	for _, c := range []struct {
		name    string
		order   []shardmap.NodeID
		rf      int
		present meta.Group
		want    []meta.Wanted
	}{
		{"one node", []shardmap.NodeID{1}, 3, meta.Group{}, []meta.Wanted{w(1, meta.Voter)}},
		{"two nodes keep the voter", []shardmap.NodeID{1, 2}, 3, onTwo, []meta.Wanted{w(2, meta.Voter), w(1, meta.Learner)}},
		{"two nodes, one copy", []shardmap.NodeID{1, 2}, 1, onTwo, []meta.Wanted{w(2, meta.Voter)}},
		{"two nodes, and the voter is leaving", []shardmap.NodeID{1, 3}, 3, onTwo, []meta.Wanted{w(1, meta.Voter), w(3, meta.Learner)}},
		{"three nodes", []shardmap.NodeID{3, 1, 2}, 3, onTwo, []meta.Wanted{w(3, meta.Voter), w(1, meta.Voter), w(2, meta.Voter)}},
		{"two copies and a witness", []shardmap.NodeID{3, 1, 2}, 2, meta.Group{}, []meta.Wanted{w(3, meta.Voter), w(1, meta.Voter), w(2, meta.Witness)}},
		{"one copy and two witnesses", []shardmap.NodeID{3, 1, 2}, 1, meta.Group{}, []meta.Wanted{w(3, meta.Voter), w(1, meta.Witness), w(2, meta.Witness)}},
		{"five copies, three vote", []shardmap.NodeID{3, 1, 2, 5, 4}, 5, meta.Group{}, []meta.Wanted{w(3, meta.Voter), w(1, meta.Voter), w(2, meta.Voter), w(5, meta.Learner), w(4, meta.Learner)}},
	} {
		if got := wantedReplicas(c.order, len(c.order), c.rf, c.present); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestMetaGroupKeepsItsVoters(t *testing.T) {
	present := meta.Group{Replicas: []meta.Replica{{ID: 1, Node: 4, Role: meta.Voter}}}
	got := wantedMeta([]shardmap.NodeID{1, 2, 3, 4}, nil, present, 4, nil)
	voters, first := 0, got[0]
	for _, w := range got {
		if w.Role == meta.Voter {
			voters++
		}
	}
	if voters != 3 || first.Node != 4 || len(got) != 4 {
		t.Fatalf("group 0 wants %v", got)
	}
	if got := wantedMeta([]shardmap.NodeID{1, 2, 3, 4, 5}, nil, present, 4, nil); got[4].Role != meta.Voter {
		t.Fatalf("five nodes: %v", got)
	}
	if got := wantedMeta([]shardmap.NodeID{1, 2, 3}, []shardmap.NodeID{4}, present, 4, nil); len(got) != 4 || got[3] != (meta.Wanted{Node: 4, Role: meta.Learner}) {
		t.Fatalf("a node that is leaving does not only learn: %v", got)
	}
	five := meta.Group{}
	for n := shardmap.NodeID(1); n <= 5; n++ {
		five.Replicas = append(five.Replicas, meta.Replica{ID: uint64(n), Node: n, Role: meta.Voter})
	}
	w := func(n shardmap.NodeID, r meta.Role) meta.Wanted { return meta.Wanted{Node: n, Role: r} }
	for _, c := range []struct {
		holder shardmap.NodeID
		want   []meta.Wanted
	}{
		{2, []meta.Wanted{w(2, meta.Voter), w(3, meta.Voter), w(4, meta.Voter), w(5, meta.Learner), w(1, meta.Learner)}},
		{5, []meta.Wanted{w(2, meta.Voter), w(3, meta.Voter), w(5, meta.Voter), w(4, meta.Learner), w(1, meta.Learner)}},
		{1, []meta.Wanted{w(2, meta.Voter), w(3, meta.Voter), w(4, meta.Voter), w(5, meta.Learner), w(1, meta.Learner)}},
	} {
		if got := wantedMeta([]shardmap.NodeID{2, 3, 4, 5}, []shardmap.NodeID{1}, five, c.holder, nil); !reflect.DeepEqual(got, c.want) {
			t.Errorf("held by node %d: %v, want %v", c.holder, got, c.want)
		}
	}
	// Node 1 was to be replaced by node 6, came back, and got group 0 before it lost its vote.
	five.Replicas[0].Node = 6
	back := []meta.Wanted{w(6, meta.Voter), w(2, meta.Voter), w(3, meta.Voter), w(4, meta.Voter), w(1, meta.Voter), w(5, meta.Learner)}
	if got := wantedMeta([]shardmap.NodeID{1, 2, 3, 4, 5, 6}, nil, five, 1, nil); !reflect.DeepEqual(got, back) {
		t.Errorf("held by one that came back: %v, want %v", got, back)
	}
}

func TestGroupBudgetIsTheSmallestShare(t *testing.T) {
	bytes := map[shardmap.NodeID]int64{1: 1000, 2: 600, 3: 1}
	groups := map[shardmap.NodeID]int64{1: 10, 2: 10, 3: 10}
	if got := groupBudget([]shardmap.NodeID{1, 2}, bytes, groups); got != 60 {
		t.Fatalf("budget %d, want 60", got)
	}
}

// TestLeasesLeaveAtAPace: few leases leave far apart, many within half a minute.
func TestLeasesLeaveAtAPace(t *testing.T) {
	for leases, want := range map[int]time.Duration{0: paceMax, 1: paceMax, 21: paceMax, 60: paceMax, 300: 100 * time.Millisecond, 5461: paceSpan / 5461} {
		if got := pace(leases); got != want {
			t.Errorf("%d leases leave every %v, want %v", leases, got, want)
		}
	}
}

// TestOneCopyOnTwoNodesStays: a single voter cannot move without a second one, so load is
// no reason to want it elsewhere.
func TestOneCopyOnTwoNodesStays(t *testing.T) {
	s := foundingOf(1, 8, 64<<20, 1)
	s.Apply(meta.Entry{Register: &meta.Register{Node: meta.Node{UUID: meta.UUID{2}, DataBytes: 64 << 20, Generation: 1}}})
	for _, p := range placements(s.Nodes, s.Settings, s.Groups, settledGroups(s), 1, nil, false)[1:] {
		if len(p.Replicas) != 1 || p.Replicas[0] != (meta.Wanted{Node: 1, Role: meta.Voter}) {
			t.Errorf("group %d is to be at %v", p.Group, p.Replicas)
		}
	}
}
