package node

import (
	"reflect"
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestMovingCountsWhatWaitsForItsTurn: two of three groups move to node 4, of which one is half
// there and the other is not wanted there yet; the third stays.
func TestMovingCountsWhatWaitsForItsTurn(t *testing.T) {
	at := func(g int, bytes int64, open bool) GroupReport {
		r := GroupReport{Group: shardmap.GroupID(g), Bytes: bytes, Open: open, Seats: []shardmap.NodeID{1, 2, 3}, Whole: open}
		if open {
			r.FillRate = 10
		}
		return r
	}
	r := ClusterReport{Groups: 3, Nodes: []NodeReport{
		{Node: 1, FillRate: 30, Groups: []GroupReport{at(1, 100, true), at(2, 1000, true), at(3, 7, true)}},
		{Node: 4, Groups: []GroupReport{at(1, 50, false)}},
	}}
	replicas := func(nodes ...shardmap.NodeID) (rs []meta.Replica) {
		for _, n := range nodes {
			rs = append(rs, meta.Replica{Node: n, Role: meta.Voter})
		}
		return rs
	}
	wanted := []meta.Group{{}, {Replicas: replicas(1, 2, 4)}, {Replicas: replicas(1, 2, 3)}, {Replicas: replicas(1, 2, 3)}}
	var inTheEnd []meta.Placement
	for g, nodes := range map[int][]shardmap.NodeID{1: {1, 2, 4}, 2: {1, 3, 4}, 3: {1, 2, 3}} {
		inTheEnd = append(inTheEnd, meta.Placement{Group: shardmap.GroupID(g), Replicas: asWanted(replicas(nodes...))})
	}
	r.Moves = r.moves(wanted)
	want := []Move{{Group: 1, From: []shardmap.NodeID{3}, To: []shardmap.NodeID{4}, Bytes: 100, Done: 50, Rate: 10}}
	if !reflect.DeepEqual(r.Moves, want) {
		t.Fatalf("moves %+v", r.Moves)
	}
	if m := *r.moving(r.plan(inTheEnd).Steps); m != (Moving{Copies: 2, Left: 1050, Rate: 30, Seconds: 35}) {
		t.Errorf("moving %+v", m)
	}
}

// TestALearnerIsOnItsWayUntilItIsWhole: with two nodes the second has no seat, so that it is
// there is its own word.
func TestALearnerIsOnItsWayUntilItIsWhole(t *testing.T) {
	wanted := []meta.Group{{}, {Replicas: []meta.Replica{{Node: 1, Role: meta.Voter}, {Node: 2, Role: meta.Learner}}}}
	for whole, moves := range map[bool]int{false: 1, true: 0} {
		r := ClusterReport{Groups: 1, Nodes: []NodeReport{
			{Node: 1, Groups: []GroupReport{{Group: 1, Open: true, Whole: true, Seats: []shardmap.NodeID{1}, Bytes: 100}}},
			{Node: 2, Groups: []GroupReport{{Group: 1, Whole: whole, Bytes: 40}}},
		}}
		if ms := r.moves(wanted); len(ms) != moves {
			t.Errorf("whole %v: %+v", whole, ms)
		}
	}
}
