package meta

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func founded(nodes int) *State {
	f := Founding{Settings: Settings{Shards: 4, Groups: 2, VirtualNodes: 100, ReplicationFactor: 3}}
	for i := 1; i <= nodes; i++ {
		f.Nodes = append(f.Nodes, Node{ID: shardmap.NodeID(i), UUID: UUID{byte(i)}, Generation: 1})
	}
	return New(f, []Placement{{Group: 0, Replicas: []Wanted{{1, Voter}}}, {Group: 1, Replicas: []Wanted{{1, Voter}}}})
}

func TestNodeIDsAreMintedOnceAndNeverReused(t *testing.T) {
	s := founded(1)
	reg := func(u byte, gen uint64, client string) bool {
		return s.Apply(Entry{Register: &Register{Node{UUID: UUID{u}, Generation: gen, Addresses: Addresses{Client: client}}}})
	}
	if !reg(7, 1, "a") || !reg(8, 1, "b") {
		t.Fatal("a new data directory was not registered")
	}
	seven, _ := s.ByUUID(UUID{7})
	eight, _ := s.ByUUID(UUID{8})
	if seven.ID != 2 || eight.ID != 3 {
		t.Fatalf("ids %d and %d, want 2 and 3", seven.ID, eight.ID)
	}
	if reg(7, 1, "late") {
		t.Fatal("a row of the same start changed the registry")
	}
	if !reg(7, 2, "new") {
		t.Fatal("a later start could not change its addresses")
	}
	if n, _ := s.Node(2); n.Addresses.Client != "new" || n.ID != 2 {
		t.Fatalf("row of node 2 is %+v", n)
	}
	revise := func(gen uint64, revision uint32, client string) bool {
		return s.Apply(Entry{Register: &Register{Node{UUID: UUID{7}, Generation: gen, Revision: revision, Addresses: Addresses{Client: client}}}})
	}
	if !revise(2, 1, "revised") || revise(2, 1, "again") || revise(2, 0, "late") || revise(1, 9, "older start") {
		t.Fatal("the revisions of a row within one start do not follow each other")
	}
	if n, _ := s.Node(2); n.Addresses.Client != "revised" || !revise(3, 0, "new start") {
		t.Fatalf("row of node 2 is %+v, or a new start did not replace it", n)
	}
	s.Removed = append(s.Removed, UUID{9})
	if reg(9, 5, "x") {
		t.Fatal("a removed data directory came back")
	}
}

func TestPlacementIsConditionalAndMintsReplicaIDs(t *testing.T) {
	s := founded(3)
	grow := Placement{Group: 1, From: 1, Replicas: []Wanted{{1, Voter}, {2, Voter}, {3, Voter}}, BudgetBytes: 10}
	if !s.Apply(Entry{Place: []Placement{grow}}) {
		t.Fatal("a valid placement did not apply")
	}
	if s.Apply(Entry{Place: []Placement{grow}}) {
		t.Fatal("the same entry applied twice")
	}
	g := s.Group(1)
	if g.Version != 2 || g.Replicas[0].ID != 1 || g.Replicas[1].ID != 2 || g.Replicas[2].ID != 3 {
		t.Fatalf("group 1 is %+v", g)
	}
	drop := Placement{Group: 1, From: 2, Replicas: []Wanted{{1, Voter}, {2, Voter}, {3, Witness}}}
	s.Apply(Entry{Place: []Placement{drop}})
	if r, _ := s.Group(1).On(3); r.ID != 4 {
		t.Fatalf("a witness that replaced a data replica kept id %d", r.ID)
	}
	for name, p := range map[string]Placement{
		"unknown node":  {Group: 1, From: 3, Replicas: []Wanted{{9, Voter}}},
		"a node twice":  {Group: 1, From: 3, Replicas: []Wanted{{1, Voter}, {1, Learner}}},
		"no replica":    {Group: 1, From: 3},
		"unknown group": {Group: 9, From: 0, Replicas: []Wanted{{1, Voter}}},
		"unknown role":  {Group: 1, From: 3, Replicas: []Wanted{{1, 9}}},
	} {
		if s.Apply(Entry{Place: []Placement{p}}) {
			t.Errorf("%s: applied", name)
		}
	}
}

func TestSnapshotGivesTheSameState(t *testing.T) {
	s := founded(3)
	got, err := Restore(s.Snapshot())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("restored %+v, %v; want %+v", got, err, s)
	}
	if _, err := Restore([]byte{2, '{', '}'}); err == nil {
		t.Fatal("another format version was taken")
	}
}

func TestReplicasNeverShareAnIDOnOneNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := founded(4)
		owner := map[uint64]shardmap.NodeID{1: 1}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			var ws []Wanted
			for _, n := range rapid.Permutation([]shardmap.NodeID{1, 2, 3, 4}).Draw(t, "nodes")[:rapid.IntRange(1, 4).Draw(t, "n")] {
				ws = append(ws, Wanted{n, Role(rapid.IntRange(1, 3).Draw(t, "role"))})
			}
			s.Apply(Entry{Place: []Placement{{Group: 1, From: s.Group(1).Version, Replicas: ws}}})
			for _, r := range s.Group(1).Replicas {
				if o, ok := owner[r.ID]; ok && o != r.Node {
					t.Fatalf("replica id %d moved from node %d to %d", r.ID, o, r.Node)
				}
				owner[r.ID] = r.Node
			}
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(Entry{Register: &Register{Node{UUID: UUID{1}}}}.Encode())
	f.Add(founded(3).Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := founded(2)
		if e, err := DecodeEntry(b); err == nil {
			s.Apply(e)
		}
		if r, err := Restore(b); err == nil {
			if _, err := Restore(r.Snapshot()); err != nil {
				t.Fatalf("a snapshot of a restored state cannot be read: %v", err)
			}
		}
	})
}
