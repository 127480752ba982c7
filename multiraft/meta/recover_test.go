package meta

import (
	"reflect"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestNodesThatWereDeclaredGoneStayAway: with their row goes all that was wanted of them,
// and what remains of them may never come back.
func TestNodesThatWereDeclaredGoneStayAway(t *testing.T) {
	s := founded(3)
	s.Apply(Entry{Place: []Placement{
		{Group: 0, From: 1, Replicas: []Wanted{{1, Voter}, {2, Voter}, {3, Voter}}},
		{Group: 1, From: 1, Replicas: []Wanted{{1, Voter}, {2, Voter}, {3, Voter}}},
		{Group: 2, From: 0, Replicas: []Wanted{{2, Voter}, {3, Voter}}},
	}})
	word := &Recovery{
		Generation: 1, Nodes: []Forsaken{{ID: 2, Name: "n2"}, {ID: 3, Name: "n3"}}, Groups: []Continued{{0, 1, 1, Voter}, {1, 1, 1, Voter}},
		Empty: []Refounded{{Group: 2, Node: 1, Replica: RefoundedReplica(1)}},
	}
	if !s.Apply(Entry{Recover: word}) || s.Apply(Entry{Recover: word}) {
		t.Fatal("a recovery is not applied, or twice")
	}
	if len(s.Nodes) != 1 || !s.Forsook(2) || !s.Forsook(3) || s.Forsook(1) || s.Generation() != 1 {
		t.Fatalf("left are %+v, generation %d", s.Nodes, s.Generation())
	}
	for _, u := range []byte{2, 3} {
		if !s.WasRemoved(UUID{u}) || s.Apply(Entry{Register: &Register{Node{UUID: UUID{u}, Generation: 9}}}) {
			t.Errorf("the data directory of node %d may come back", u)
		}
	}
	if g := s.Group(1); len(g.Replicas) != 1 || g.Replicas[0].Node != 1 {
		t.Errorf("group 1 is wanted on %+v", g.Replicas)
	}
	if g := s.Group(2); len(g.Replicas) != 1 || g.Replicas[0] != (Replica{RefoundedReplica(1), 1, Voter}) || g.NextReplica <= RefoundedReplica(1) {
		t.Errorf("group 2 begins anew as %+v", g)
	}
	s.Apply(Entry{Register: &Register{Node{UUID: UUID{7}, Generation: 1}}})
	if n, _ := s.ByUUID(UUID{7}); n.ID != shardmap.NodeID(FirstNode(1)) {
		t.Errorf("the next node has id %d", n.ID)
	}
	if got, err := Restore(s.Snapshot()); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("restored %+v, %v; want %+v", got, err, s)
	}
	if s.Apply(Entry{Recover: &Recovery{Generation: 1, Nodes: []Forsaken{{ID: 1, Name: "n1"}}}}) {
		t.Error("a word that was late took another node out")
	}
}

// TestWhatIsWantedOfThoseThatAreLeft: the survivor that goes on is the only voter, the other
// survivors learn; a group that has its majority is not made to stand on two voters.
func TestWhatIsWantedOfThoseThatAreLeft(t *testing.T) {
	s := founded(5)
	all := func(g shardmap.GroupID, ws ...Wanted) Entry {
		return Entry{Place: []Placement{{Group: g, From: s.Group(g).Version, Replicas: ws}}}
	}
	s.Apply(all(0, Wanted{1, Voter}, Wanted{2, Voter}, Wanted{3, Voter}, Wanted{4, Voter}, Wanted{5, Voter}))
	s.Apply(all(1, Wanted{1, Voter}, Wanted{4, Voter}, Wanted{5, Voter}))
	kept := s.Group(1)
	s.Apply(Entry{Recover: &Recovery{Generation: 3, Nodes: []Forsaken{{ID: 1}, {ID: 2}, {ID: 3}}, Groups: []Continued{{0, 5, 5, Voter}}}})
	if g := s.Group(0); !reflect.DeepEqual(g.Replicas, []Replica{{5, 5, Voter}, {4, 4, Learner}}) {
		t.Errorf("group 0 is wanted on %+v", g.Replicas)
	}
	if g := s.Group(1); g.Version != kept.Version || !reflect.DeepEqual(g.Replicas, kept.Replicas) {
		t.Errorf("group 1 is wanted on %+v, of %+v", g, kept)
	}
	same := all(1, Wanted{1, Voter}, Wanted{4, Voter}, Wanted{5, Voter})
	if same.Place[0].BudgetBytes = 7; !s.Apply(same) {
		t.Error("its budget cannot be changed before its replicas are")
	}
	if s.Apply(all(1, Wanted{2, Voter}, Wanted{4, Voter}, Wanted{5, Voter})) || !s.Apply(all(1, Wanted{4, Voter})) || s.Apply(all(1, Wanted{1, Voter})) {
		t.Error("a node that was declared gone is to get a replica, or nothing can be taken from it")
	}
}

// TestIDsAreNotMintedTwice: the replica that goes on was minted by an entry that no survivor
// has, and a node may have joined by another one. Neither id is given to anybody else.
func TestIDsAreNotMintedTwice(t *testing.T) {
	s := founded(3)
	s.Apply(Entry{Recover: &Recovery{Generation: 1, Nodes: []Forsaken{{ID: 2}, {ID: 3}}, Groups: []Continued{{1, 1, 7, Voter}}}})
	s.Apply(Entry{Register: &Register{Node{UUID: UUID{7}, Generation: 1}}})
	joined, _ := s.ByUUID(UUID{7})
	if joined.ID <= 1000 {
		t.Errorf("the next node gets id %d", joined.ID)
	}
	for g := range s.Groups {
		id := shardmap.GroupID(g)
		if !s.Apply(Entry{Place: []Placement{{Group: id, From: s.Group(id).Version, Replicas: []Wanted{{1, Voter}, {joined.ID, Learner}}}}}) {
			t.Fatalf("group %d is not placed", g)
		}
		if r, _ := s.Group(id).On(joined.ID); r.ID <= RefoundedReplica(1) || r.ID >= RefoundedReplica(2) {
			t.Errorf("group %d: replica %d is minted in generation 1", g, r.ID)
		}
	}
	next := s.NextNode
	s.Apply(Entry{Recover: &Recovery{Generation: 2, Nodes: []Forsaken{{ID: joined.ID}}}})
	if s.NextNode <= next || s.Group(1).NextReplica <= RefoundedReplica(2) {
		t.Errorf("generation 2 mints node %d and replica %d", s.NextNode, s.Group(1).NextReplica)
	}
}
