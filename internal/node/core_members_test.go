package node

import (
	"reflect"
	"slices"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestNextMembers walks groups to what is wanted of them, step by step.
func TestNextMembers(t *testing.T) {
	d := multiraft.MakeReplica
	voter := func(id uint64, n shardmap.NodeID) multiraft.ReplicaDesc { return d(id, n, multiraft.RoleVoter) }
	learner := func(id uint64, n shardmap.NodeID) multiraft.ReplicaDesc { return d(id, n, multiraft.RoleLearner) }
	witness := func(id uint64, n shardmap.NodeID) multiraft.ReplicaDesc { return d(id, n, multiraft.RoleWitness) }
	list := func(ds ...multiraft.ReplicaDesc) []multiraft.ReplicaDesc { return ds }
	want := func(rs ...meta.Replica) meta.Group { return meta.Group{Replicas: rs} }
	three := list(voter(1, 1), voter(2, 2), voter(3, 3))
	for _, c := range []struct {
		name   string
		conf   multiraft.GroupConfig
		want   meta.Group
		seats  []shardmap.NodeID
		seated bool
		next   []multiraft.ReplicaDesc
	}{
		{
			"in place",
			multiraft.GroupConfig{Voters: three},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 2, Node: 2, Role: meta.Voter}, meta.Replica{ID: 3, Node: 3, Role: meta.Voter}),
			[]shardmap.NodeID{1, 2, 3},
			true, nil,
		},
		{
			"a newcomer learns first",
			multiraft.GroupConfig{Voters: three},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 2, Node: 2, Role: meta.Voter}, meta.Replica{ID: 4, Node: 4, Role: meta.Voter}),
			[]shardmap.NodeID{1, 2, 3},
			false, list(voter(1, 1), voter(2, 2), voter(3, 3), learner(4, 4)),
		},
		{
			"and votes once it has the seat",
			multiraft.GroupConfig{Voters: three, Learners: list(learner(4, 4))},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 2, Node: 2, Role: meta.Voter}, meta.Replica{ID: 4, Node: 4, Role: meta.Voter}),
			[]shardmap.NodeID{1, 2, 4},
			true, list(voter(1, 1), voter(2, 2), voter(4, 4)),
		},
		{
			"a learner that has a seat stays, though another one is wanted by now",
			multiraft.GroupConfig{Voters: three, Learners: list(learner(4, 5), learner(5, 6))},
			want(meta.Replica{ID: 5, Node: 6, Role: meta.Voter}, meta.Replica{ID: 3, Node: 3, Role: meta.Voter}, meta.Replica{ID: 1, Node: 1, Role: meta.Voter}),
			[]shardmap.NodeID{3, 5, 6},
			false, nil,
		},
		{
			"and goes when it has none",
			multiraft.GroupConfig{Voters: three, Learners: list(learner(4, 5), learner(5, 6))},
			want(meta.Replica{ID: 5, Node: 6, Role: meta.Voter}, meta.Replica{ID: 3, Node: 3, Role: meta.Voter}, meta.Replica{ID: 1, Node: 1, Role: meta.Voter}),
			[]shardmap.NodeID{1, 2, 3},
			false, list(voter(1, 1), voter(2, 2), voter(3, 3), learner(5, 6)),
		},
		{
			"wanted again before it has left",
			multiraft.GroupConfig{Voters: three},
			want(meta.Replica{ID: 6, Node: 3, Role: meta.Voter}, meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 2, Node: 2, Role: meta.Voter}),
			[]shardmap.NodeID{1, 2, 3},
			true, nil,
		},
		{
			"a copy becomes a witness when it has no seat",
			multiraft.GroupConfig{Voters: three},
			want(meta.Replica{ID: 2, Node: 2, Role: meta.Voter}, meta.Replica{ID: 3, Node: 3, Role: meta.Voter}, meta.Replica{ID: 4, Node: 1, Role: meta.Witness}),
			[]shardmap.NodeID{2, 3},
			true, list(voter(2, 2), voter(3, 3), witness(4, 1)),
		},
		{
			"and not before",
			multiraft.GroupConfig{Voters: three},
			want(meta.Replica{ID: 2, Node: 2, Role: meta.Voter}, meta.Replica{ID: 3, Node: 3, Role: meta.Voter}, meta.Replica{ID: 4, Node: 1, Role: meta.Witness}),
			[]shardmap.NodeID{1, 2, 3},
			true, nil,
		},
		{
			"a witness makes room for its copy",
			multiraft.GroupConfig{Voters: list(voter(1, 1), voter(2, 2), witness(3, 3))},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 4, Node: 3, Role: meta.Voter}, meta.Replica{ID: 5, Node: 2, Role: meta.Witness}),
			[]shardmap.NodeID{1, 2},
			false, list(voter(1, 1), voter(2, 2), voter(4, 3)),
		},
		{
			"but not one that served and has the only seat",
			multiraft.GroupConfig{Voters: list(voter(1, 1), voter(2, 2), witness(3, 3))},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 4, Node: 3, Role: meta.Voter}, meta.Replica{ID: 5, Node: 2, Role: meta.Witness}),
			[]shardmap.NodeID{3},
			false, nil,
		},
		{
			"nor does a copy while the wanted one has no room",
			multiraft.GroupConfig{Voters: list(voter(1, 1), witness(2, 2), witness(3, 3))},
			want(meta.Replica{ID: 4, Node: 2, Role: meta.Voter}, meta.Replica{ID: 5, Node: 1, Role: meta.Witness}, meta.Replica{ID: 3, Node: 3, Role: meta.Witness}),
			[]shardmap.NodeID{2},
			true, nil,
		},
		{
			"a voter without a seat makes room for a witness first",
			multiraft.GroupConfig{Voters: list(voter(1, 1), voter(2, 2), witness(3, 3))},
			want(meta.Replica{ID: 1, Node: 1, Role: meta.Voter}, meta.Replica{ID: 4, Node: 3, Role: meta.Voter}, meta.Replica{ID: 5, Node: 4, Role: meta.Witness}),
			[]shardmap.NodeID{1},
			false, list(voter(1, 1), witness(3, 3), witness(5, 4)),
		},
	} {
		before := slices.Clone(c.want.Replicas)
		got := nextMembers(c.conf, c.want, c.seats, c.seated)
		by := func(a, b multiraft.ReplicaDesc) int { return int(a.ID>>1) - int(b.ID>>1) }
		slices.SortFunc(got, by)
		slices.SortFunc(c.next, by)
		if !slices.Equal(got, c.next) {
			t.Errorf("%s: %v, want %v", c.name, got, c.next)
		}
		if !slices.Equal(before, c.want.Replicas) {
			t.Errorf("%s: what is wanted was changed", c.name)
		}
	}
}

// wants is a replica that group 0 wants.
func wants(id uint64, n shardmap.NodeID, role meta.Role) meta.Replica {
	return meta.Replica{ID: id, Node: n, Role: role}
}

// TestALearnerThatItsNodeForgotMakesRoom has what an old holder left behind, who had not
// heard yet that node 6 was given up and is wanted again: whole-cluster simulator, seed 13
// of 300 s.
func TestALearnerThatItsNodeForgotMakesRoom(t *testing.T) {
	d := multiraft.MakeReplica
	conf := multiraft.GroupConfig{
		Voters:   []multiraft.ReplicaDesc{d(1, 1, multiraft.RoleVoter), d(3, 4, multiraft.RoleVoter), d(6, 5, multiraft.RoleVoter)},
		Learners: []multiraft.ReplicaDesc{d(8, 8, multiraft.RoleLearner), d(5, 6, multiraft.RoleLearner)},
	}
	newer := []meta.Replica{wants(7, 6, meta.Voter), wants(1, 1, meta.Voter), wants(8, 8, meta.Voter)}
	for name, c := range map[string]struct {
		conf  multiraft.GroupConfig
		want  []meta.Replica
		seats []shardmap.NodeID
		next  []multiraft.ReplicaDesc
	}{
		"forgotten":                    {conf, newer, []shardmap.NodeID{1, 4, 5}, slices.Concat(conf.Voters, conf.Learners[:1])},
		"it has a seat":                {conf, newer, []shardmap.NodeID{1, 4, 6}, nil},
		"it is the wanted one":         {conf, []meta.Replica{wants(5, 6, meta.Voter)}, []shardmap.NodeID{1, 4, 5}, nil},
		"nobody wants one on its node": {conf, []meta.Replica{wants(1, 1, meta.Voter)}, []shardmap.NodeID{1, 4, 5}, nil},
		"group 0":                      {conf, newer, nil, nil},
		"between two sets of voters":   {multiraft.GroupConfig{Voters: conf.Voters, Outgoing: conf.Voters, Learners: conf.Learners}, newer, []shardmap.NodeID{1, 4, 5}, nil},
		"nobody learns":                {multiraft.GroupConfig{Voters: conf.Voters}, newer, []shardmap.NodeID{1, 4, 5}, nil},
	} {
		if got := outlived(c.conf, meta.Group{Replicas: c.want}, c.seats); !slices.Equal(got, c.next) {
			t.Errorf("%s: %v, want %v", name, got, c.next)
		}
	}
}

// TestAVoterThatItsNodeGaveUpIsSucceeded has the same as a voter: simulator, seed 101205
// of 300 s.
func TestAVoterThatItsNodeGaveUpIsSucceeded(t *testing.T) {
	d := multiraft.MakeReplica
	old, six, seven := d(5, 1, multiraft.RoleVoter), d(12, 6, multiraft.RoleWitness), d(13, 7, multiraft.RoleWitness)
	conf := multiraft.GroupConfig{Voters: []multiraft.ReplicaDesc{old, six, seven}}
	newer := []meta.Replica{wants(10, 1, meta.Voter), wants(12, 6, meta.Witness), wants(13, 7, meta.Witness)}
	for name, c := range map[string]struct {
		conf  multiraft.GroupConfig
		want  []meta.Replica
		seats []shardmap.NodeID
		gone  uint64
		next  []multiraft.ReplicaDesc
	}{
		"given up":                     {conf, newer, []shardmap.NodeID{7}, old.ID, []multiraft.ReplicaDesc{six, seven, d(10, 1, multiraft.RoleVoter)}},
		"it has a seat":                {conf, newer, []shardmap.NodeID{1}, old.ID, nil},
		"it is the wanted one":         {conf, []meta.Replica{wants(5, 1, meta.Voter)}, []shardmap.NodeID{7}, old.ID, nil},
		"nobody wants one on its node": {conf, newer[1:], []shardmap.NodeID{7}, old.ID, nil},
		"the wanted one has no vote":   {conf, []meta.Replica{wants(10, 1, meta.Learner)}, []shardmap.NodeID{7}, old.ID, nil},
		"it is no voter":               {conf, newer, []shardmap.NodeID{7}, d(4, 1, multiraft.RoleWitness).ID, nil},
		"between two sets of voters":   {multiraft.GroupConfig{Voters: conf.Voters, Outgoing: conf.Voters}, newer, []shardmap.NodeID{7}, old.ID, nil},
	} {
		if got := succeed(c.conf, meta.Group{Replicas: c.want}, c.seats, c.gone); !slices.Equal(got, c.next) {
			t.Errorf("%s: %v, want %v", name, got, c.next)
		}
	}
}

// TestTheHolderStaysUntilItHasHandedOver names whose place a holder that is to leave takes.
func TestTheHolderStaysUntilItHasHandedOver(t *testing.T) {
	d := multiraft.MakeReplica
	conf := multiraft.GroupConfig{Voters: []multiraft.ReplicaDesc{d(1, 1, multiraft.RoleVoter), d(2, 2, multiraft.RoleVoter), d(3, 3, multiraft.RoleVoter)}}
	own := wants(1, 1, meta.Voter)
	for name, c := range map[string]struct {
		seats      []shardmap.NodeID
		want, next []meta.Replica
	}{
		"wanted": {nil, []meta.Replica{own, wants(2, 2, meta.Voter)}, []meta.Replica{own, wants(2, 2, meta.Voter)}},
		"one without a seat": {
			[]shardmap.NodeID{1, 2, 3},
			[]meta.Replica{wants(4, 4, meta.Voter), wants(2, 2, meta.Voter), wants(3, 3, meta.Voter)},
			[]meta.Replica{wants(4, 4, meta.Learner), wants(2, 2, meta.Voter), wants(3, 3, meta.Voter), own},
		},
		"the last": {
			[]shardmap.NodeID{1, 4, 5, 6},
			[]meta.Replica{wants(4, 4, meta.Voter), wants(5, 5, meta.Voter), wants(6, 6, meta.Voter)},
			[]meta.Replica{wants(4, 4, meta.Voter), wants(5, 5, meta.Voter), wants(6, 6, meta.Learner), own},
		},
		"no place of a copy that only learns": {
			[]shardmap.NodeID{1, 2, 3, 4},
			[]meta.Replica{wants(2, 2, meta.Voter), wants(3, 3, meta.Voter), wants(4, 4, meta.Voter), wants(5, 5, meta.Learner)},
			[]meta.Replica{wants(2, 2, meta.Voter), wants(3, 3, meta.Voter), wants(4, 4, meta.Learner), wants(5, 5, meta.Learner), own},
		},
		"its own witness": {
			[]shardmap.NodeID{1},
			[]meta.Replica{wants(2, 2, meta.Voter), wants(4, 1, meta.Witness), wants(3, 3, meta.Witness)},
			[]meta.Replica{wants(2, 2, meta.Voter), own, wants(3, 3, meta.Witness)},
		},
	} {
		if got := withHolder(conf, meta.Group{Replicas: c.want}, 1, c.seats); !reflect.DeepEqual(got.Replicas, c.next) {
			t.Errorf("%s: %v, want %v", name, got.Replicas, c.next)
		}
	}
}

func TestWantedSeats(t *testing.T) {
	d := multiraft.MakeReplica
	conf := multiraft.GroupConfig{Voters: []multiraft.ReplicaDesc{d(1, 1, multiraft.RoleVoter), d(2, 2, multiraft.RoleWitness), d(3, 3, multiraft.RoleWitness)}}
	onTwo := meta.Group{Replicas: []meta.Replica{{ID: 4, Node: 2, Role: meta.Voter}, {ID: 5, Node: 1, Role: meta.Witness}, {ID: 3, Node: 3, Role: meta.Witness}}}
	alone := meta.Group{Replicas: []meta.Replica{{ID: 1, Node: 1, Role: meta.Voter}, {ID: 6, Node: 2, Role: meta.Learner}}}
	for _, c := range []struct {
		name   string
		want   meta.Group
		holder shardmap.NodeID
		seats  []shardmap.NodeID
	}{
		{"the wanted copy has no room yet", onTwo, 1, []shardmap.NodeID{1}},
		{"a witness holds the lease: a copy must be able to take it", onTwo, 2, []shardmap.NodeID{1, 2}},
		{"below three voters the holder alone", alone, 1, []shardmap.NodeID{1}},
	} {
		if got := wantedSeats(conf, c.want, c.holder); !slices.Equal(got, c.seats) {
			t.Errorf("%s: %v, want %v", c.name, got, c.seats)
		}
	}
}
