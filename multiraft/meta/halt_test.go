package meta

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAHaltIsConditional: words that cross each other are not both taken, and it changes
// nothing else.
func TestAHaltIsConditional(t *testing.T) {
	s := founded(3)
	halt := func(from uint64, on bool) bool { return s.Apply(Entry{Halt: &Halt{From: from, On: on}}) }
	before := *founded(3)
	if halt(0, false) || !halt(0, true) || halt(0, false) || halt(1, true) || halt(7, false) {
		t.Fatal("a halt was not taken, or one that was decided on something older, or says nothing new, was")
	}
	before.Halted, before.HaltVersion, before.Version = true, 1, before.Version+1
	if !reflect.DeepEqual(*s, before) {
		t.Fatalf("a halt changed %+v into %+v", before, *s)
	}
	if !halt(1, false) || s.Halted || s.HaltVersion != 2 {
		t.Fatalf("it was not taken back: %+v", s)
	}
}

// TestAHaltOutlivesEverythingElse: snapshots, starts of nodes, nodes that leave, recoveries.
// Only a halt changes it, and a replica that restores a snapshot on the way comes to the
// same state as one that has applied every entry.
func TestAHaltOutlivesEverythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, other := founded(4), founded(4)
		on, version := false, uint64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			e := Entry{}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0, 1:
				e.Halt = &Halt{From: rapid.Uint64Range(version-min(version, 1), version+1).Draw(t, "from"), On: rapid.Bool().Draw(t, "on")}
				if e.Halt.From == version && e.Halt.On != on {
					on, version = e.Halt.On, version+1
				}
			case 2:
				e.Register = &Register{Node{UUID: UUID{rapid.Byte().Draw(t, "uuid")}, Generation: rapid.Uint64Range(1, 9).Draw(t, "generation")}}
			case 3:
				n := rapid.SampledFrom(s.Nodes).Draw(t, "node")
				e.Intend = &Intend{Node: n.ID, From: n.IntentVersion, Intent: Intent(rapid.IntRange(0, 3).Draw(t, "intent"))}
			case 4:
				e.Recover = &Recovery{Generation: s.Generation() + 1}
			case 5:
				e.Place = []Placement{{Group: 1, From: s.Group(1).Version, Replicas: []Wanted{{s.Nodes[0].ID, Voter}}}}
			}
			b := e.Encode()
			for _, x := range []*State{s, other} {
				read, err := DecodeEntry(b)
				if err != nil {
					t.Fatal(err)
				}
				x.Apply(read)
			}
			if rapid.Bool().Draw(t, "restores") {
				r, err := Restore(other.Snapshot())
				if err != nil {
					t.Fatal(err)
				}
				other = r
			}
			if s.Halted != on || s.HaltVersion != version || other.Halted != on || other.HaltVersion != version || other.Version != s.Version {
				t.Fatalf("after %+v: halted %v (%d), and %v (%d) where it was restored; want %v (%d)", e, s.Halted, s.HaltVersion, other.Halted, other.HaltVersion, on, version)
			}
		}
	})
}

// TestFormatsFromBeforeTheHalt: they say nothing of it, and what says nothing looks as it
// did; an entry of a kind that is not known yet changes nothing, as ever.
func TestFormatsFromBeforeTheHalt(t *testing.T) {
	s := founded(3)
	if b := string(s.Snapshot()) + string(Entry{Forget: 2}.Encode()); strings.Contains(b, "halt") {
		t.Fatalf("a cluster that was never halted writes %s", b)
	}
	if r, err := Restore(s.Snapshot()); err != nil || r.Halted || r.HaltVersion != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	e, err := DecodeEntry(append([]byte{format}, `{"nobodyKnowsThisYet":{"on":true}}`...))
	if err != nil || s.Apply(e) || !reflect.DeepEqual(s, founded(3)) {
		t.Fatalf("%+v, %v changed %+v", e, err, s)
	}
	if _, err := DecodeEntry([]byte{format + 1, '{', '}'}); err == nil {
		t.Fatal("an entry of another format version was taken")
	}
}
