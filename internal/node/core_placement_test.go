package node

import (
	"reflect"
	"slices"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
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

// TestMembersStayUntilSeatsHaveChanged is about a group whose placement changes again
// while the last change is under way.
func TestMembersStayUntilSeatsHaveChanged(t *testing.T) {
	d := multiraft.MakeReplica
	voters := []multiraft.ReplicaDesc{d(1, 1, multiraft.RoleVoter), d(2, 2, multiraft.RoleVoter), d(3, 3, multiraft.RoleVoter)}
	fifth, sixth := d(4, 5, multiraft.RoleLearner), d(5, 6, multiraft.RoleLearner)
	conf := multiraft.GroupConfig{Voters: voters, Learners: []multiraft.ReplicaDesc{fifth, sixth}}
	want := meta.Group{Replicas: []meta.Replica{{ID: 5, Node: 6, Role: meta.Voter}, {ID: 2, Node: 3, Role: meta.Voter}, {ID: 1, Node: 1, Role: meta.Voter}}}
	has := func(ds []multiraft.ReplicaDesc, d multiraft.ReplicaDesc) bool { return slices.Contains(ds, d) }

	// Node 5 was wanted, has a seat by now, and is not wanted any more.
	got := holdMembers(conf, describeAll(want), []shardmap.NodeID{3, 5, 6})
	for _, m := range append(voters, fifth, sixth) {
		if !has(got, m) {
			t.Errorf("%v is to leave although the seats are not the wanted ones: %v", m, got)
		}
	}
	// Once it has none it goes.
	if got := holdMembers(conf, describeAll(want), []shardmap.NodeID{1, 3, 6}); has(got, fifth) {
		t.Errorf("%v stays without a seat: %v", fifth, got)
	}
	// Node 3 was given up as replica 3 and is wanted again as replica 6, before it left.
	want.Replicas[1].ID = 6
	if got := standing(conf, want); got.Replicas[1].ID != 3 || got.Replicas[0].ID != 5 || want.Replicas[1].ID != 6 {
		t.Errorf("wanted by the ids of members: %v, of %v", got, want)
	}
	conf.Voters = voters[:2]
	if got := standing(conf, want); got.Replicas[1].ID != 6 {
		t.Errorf("a replica that has left is named again: %v", got)
	}
}

func TestMetaGroupKeepsItsVoters(t *testing.T) {
	present := meta.Group{Replicas: []meta.Replica{{ID: 1, Node: 4, Role: meta.Voter}}}
	got := wantedMeta([]shardmap.NodeID{1, 2, 3, 4}, present)
	voters, first := 0, got[0]
	for _, w := range got {
		if w.Role == meta.Voter {
			voters++
		}
	}
	if voters != 3 || first.Node != 4 || len(got) != 4 {
		t.Fatalf("group 0 wants %v", got)
	}
	if got := wantedMeta([]shardmap.NodeID{1, 2, 3, 4, 5}, present); got[4].Role != meta.Voter {
		t.Fatalf("five nodes: %v", got)
	}
}

func TestGroupBudgetIsTheSmallestShare(t *testing.T) {
	ws := []meta.Wanted{{Node: 1, Role: meta.Voter}, {Node: 2, Role: meta.Voter}, {Node: 3, Role: meta.Witness}}
	bytes := map[shardmap.NodeID]int64{1: 1000, 2: 600, 3: 1}
	groups := map[shardmap.NodeID]int64{1: 10, 2: 10, 3: 10}
	if got := groupBudget(ws, bytes, groups); got != 60 {
		t.Fatalf("budget %d, want 60", got)
	}
}
