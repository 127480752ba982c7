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

func TestWhatIsWantedOfANodeIsConditionalAndOutlivesItsStarts(t *testing.T) {
	s := founded(3)
	s.Apply(Entry{Place: []Placement{{Group: 0, From: 1, Replicas: []Wanted{{1, Voter}, {2, Learner}, {3, Learner}}}}})
	intend := func(n shardmap.NodeID, from uint64, i Intent) bool {
		return s.Apply(Entry{Intend: &Intend{Node: n, From: from, Intent: i}})
	}
	if !intend(2, 0, Draining) || intend(2, 0, Leaving) || intend(2, 1, Draining) || intend(9, 0, Draining) || intend(2, 1, 7) {
		t.Fatal("an intent was not taken, or one that was decided on something older, says nothing new, or makes no sense was")
	}
	s.Apply(Entry{Register: &Register{Node{UUID: UUID{2}, Generation: 2, Name: "back", Intent: Active}}})
	if n, _ := s.Node(2); n.Intent != Draining || n.IntentVersion != 1 || n.Name != "back" {
		t.Fatalf("a start changed what is wanted of the node: %+v", n)
	}
	s.Apply(Entry{Register: &Register{Node{UUID: UUID{9}, Generation: 1, Intent: Leaving, IntentVersion: 5}}})
	if n, _ := s.ByUUID(UUID{9}); n.Intent != Active || n.IntentVersion != 0 {
		t.Fatalf("a node came with an intent of its own: %+v", n)
	}
	if got, err := Restore(s.Snapshot()); err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("restored %+v, %v; want %+v", got, err, s)
	}
}

// TestWhoWasMissedIsToldFromWhoIsToLeave: a start does not change it, an operator does.
func TestWhoWasMissedIsToldFromWhoIsToLeave(t *testing.T) {
	s := founded(4)
	absent := func() bool { n, _ := s.Node(4); return n.Intent == Leaving && n.Absent }
	intend := func(i Intend) bool { i.Node = 4; return s.Apply(Entry{Intend: &i}) }
	if !intend(Intend{Intent: Leaving, Absent: true}) || !absent() {
		t.Fatal("a node that is missed does not leave by that")
	}
	if !s.Apply(Entry{Register: &Register{Node{UUID: UUID{4}, Generation: 2}}}) || !absent() {
		t.Fatal("its start changed what is wanted of it")
	}
	if intend(Intend{From: 1, Intent: Leaving, Absent: true}) || !intend(Intend{From: 1, Intent: Leaving}) || absent() {
		t.Fatal("an operator who sends it away changes nothing")
	}
	if !intend(Intend{From: 2, Intent: Gone}) || intend(Intend{From: 2, Intent: Active}) {
		t.Fatal("a node that is gone was taken back by a word that was late")
	}
}

func TestANodeThatIsGoneStaysAway(t *testing.T) {
	s := founded(3)
	s.Apply(Entry{Place: []Placement{
		{Group: 0, From: 1, Replicas: []Wanted{{1, Voter}, {2, Learner}}},
		{Group: 1, From: 1, Replicas: []Wanted{{2, Voter}, {3, Witness}}},
	}})
	gone := func(n shardmap.NodeID) bool {
		row, _ := s.Node(n)
		return s.Apply(Entry{Intend: &Intend{Node: n, From: row.IntentVersion, Intent: Gone}})
	}
	if gone(2) {
		t.Fatal("the only node with a copy of group 1 is gone")
	}
	if s.Apply(Entry{Forget: 3}) {
		t.Fatal("the row of a node that stays was taken out")
	}
	if !gone(3) || !s.WasRemoved(UUID{3}) || s.Group(1).Version != 3 {
		t.Fatalf("node 3 could not leave: %+v", s)
	}
	if _, has := s.Group(1).On(3); has {
		t.Fatal("a node that is gone is wanted in group 1")
	}
	if s.Apply(Entry{Intend: &Intend{Node: 3, From: 1, Intent: Active}}) {
		t.Fatal("a node that is gone was taken back")
	}
	if s.Apply(Entry{Place: []Placement{{Group: 1, From: 3, Replicas: []Wanted{{2, Voter}, {3, Witness}}}}}) {
		t.Fatal("something was placed on a node that is gone")
	}
	if s.Apply(Entry{Register: &Register{Node{UUID: UUID{3}, Generation: 9}}}) {
		t.Fatal("the data directory of a node that is gone came back")
	}
	if !s.Apply(Entry{Forget: 3}) || s.Apply(Entry{Forget: 3}) {
		t.Fatal("the row of a node that is gone cannot be taken out once")
	}
	if _, ok := s.Node(3); ok || !s.WasRemoved(UUID{3}) {
		t.Fatal("the row stayed, or the tombstone went with it")
	}
	s.Apply(Entry{Register: &Register{Node{UUID: UUID{4}, Generation: 1}}})
	if n, _ := s.ByUUID(UUID{4}); n.ID != 4 {
		t.Fatalf("the next node has id %d", n.ID)
	}
}

// TestOlderFormatsAreRead reads entries and rows as they were before intents.
func TestOlderFormatsAreRead(t *testing.T) {
	e, err := DecodeEntry(append([]byte{1}, `{"register":{"node":{"id":0,"uuid":[7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"name":"n7","addresses":{"client":"a","cluster":"b","gossip":"c"},"dataBytes":5,"generation":1}}}`...))
	if err != nil || e.Register == nil || e.Intend != nil || e.Forget != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	s := founded(1)
	if !s.Apply(e) {
		t.Fatal("an entry of an older format did not apply")
	}
	if n, _ := s.ByUUID(UUID{7}); n.Intent != Active || n.Zone != "" || !n.Intent.Places() {
		t.Fatalf("row %+v", n)
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
	f.Add(Entry{Intend: &Intend{Node: 2, Intent: Gone}}.Encode())
	f.Add(Entry{Forget: 2}.Encode())
	f.Add(Entry{Halt: &Halt{On: true}}.Encode())
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
