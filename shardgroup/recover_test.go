package shardgroup

import (
	"testing"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func v(epoch uint32, seq uint64) shardmap.Version { return shardmap.MakeVersion(epoch, seq) }

// lineageOf is one shard with three seats, in whose last epoch, 3, node 1 serves.
func lineageOf() *lineage {
	l := &lineage{shards: 1}
	for e := range uint32(3) {
		l.apply(&entry{
			kind: entryOpen, ballot: multiraft.Ballot{Term: uint64(e) + 1, Sub: 1}, member: multiraft.Member{Node: 1}, prevEpoch: e,
			base: []shardmap.Version{v(e, 5)}, lost: []uint64{0}, clean: maskOf(1),
			seats: []multiraft.Member{{Node: 1}, {Node: 2}, {Node: 3}},
		})
	}
	return l
}

// TestAGenerationStandsAboveWhatWasLeftBehind: what it opens first is clean nowhere and
// cuts all that the others have written meanwhile, in epochs of which nobody here knows.
func TestAGenerationStandsAboveWhatWasLeftBehind(t *testing.T) {
	l, self := lineageOf(), multiraft.Member{Node: 3, Inc: multiraft.Incarnation{Counter: 7}}
	if err := l.regenerate(1, self, true, []shardmap.NodeID{3}); err != nil {
		t.Fatal(err)
	}
	again, err := decodeLineage(l.encode())
	if err != nil {
		t.Fatal(err)
	}
	l = again
	if l.epoch() != 1<<epochShift || l.opened() != 3 || !l.last().begins() || len(l.seats) != 1 || l.seats[0] != self {
		t.Fatalf("epoch %d after %d, seats %+v", l.epoch(), l.opened(), l.seats)
	}
	if at, ok := l.cut(0, v(3, 9)); !ok || at != v(3, 9) {
		t.Errorf("the row between the generations cuts 3/9 to %v", at)
	}
	if !l.apply(&entry{
		kind: entryOpen, ballot: multiraft.Ballot{Term: 1 << 40, Sub: 1}, member: self, prevEpoch: l.epoch(),
		base: []shardmap.Version{v(3, 4)}, lost: []uint64{0}, clean: maskOf(1),
	}) {
		t.Fatal("nothing can be opened")
	}
	if r := l.last(); r.epoch != 1<<epochShift+1 || !r.clean.empty() || !r.bounded.empty() || len(l.rows) > 0 && l.rows[0].begins() {
		t.Errorf("the first row is %+v of %+v", r, l.rows)
	}
	for version, lost := range map[shardmap.Version]bool{v(3, 4): false, v(3, 5): true, v(4, 1): true, v(9, 1): true, v(1<<epochShift, 1): true, v(1<<epochShift+1, 1): false} {
		if verdict, _ := l.judge(0, version); (verdict == VerdictLost) != lost {
			t.Errorf("%v is judged %v", version, verdict)
		}
	}
}

func TestWhoseCopyIsNotWholeHasNoSeatAfterwards(t *testing.T) {
	l := lineageOf()
	if err := l.regenerate(1, multiraft.Member{Node: 3}, false, []shardmap.NodeID{3}); err != nil || len(l.seats) != 0 {
		t.Errorf("seats %+v, %v", l.seats, err)
	}
	l = lineageOf()
	if err := l.regenerate(1, multiraft.Member{Node: 3}, false, []shardmap.NodeID{3, 2}); err != nil || len(l.seats) != 1 || l.seats[0].Node != 2 {
		t.Errorf("seats %+v, %v", l.seats, err)
	}
}

func TestGenerationsRiseUntilTheyAreUsedUp(t *testing.T) {
	l := lineageOf()
	for _, generation := range []uint32{0, multiraft.GenerationMax + 1} {
		if l.regenerate(generation, multiraft.Member{Node: 3}, true, nil) == nil {
			t.Errorf("generation %d was begun", generation)
		}
	}
	for generation := uint32(1); generation <= multiraft.GenerationMax; generation++ {
		if err := l.regenerate(generation, multiraft.Member{Node: 3}, true, nil); err != nil {
			t.Fatal(err)
		}
		if l.regenerate(generation, multiraft.Member{Node: 3}, true, nil) == nil {
			t.Fatalf("generation %d was begun twice", generation)
		}
	}
}

// TestWhatWasNotAppliedCutsAsWell: an Open that the survivor has in its log and never heard
// to be committed may have been; what it cut is lost, whatever this copy holds since.
func TestWhatWasNotAppliedCutsAsWell(t *testing.T) {
	cfg := bigConfig()
	cfg.Layout = shardmap.Layout{Shards: 1, Groups: 1}
	cfg.Self = multiraft.Member{Node: 3, Inc: multiraft.Incarnation{Counter: 1}}
	q := &quiet{}
	n, err := NewNode(cfg, q, q)
	if err != nil {
		t.Fatal(err)
	}
	n.Create(1, 3, multiraft.RoleVoter)
	n.StateRestore(1, lineageOf().encode(), multiraft.Instant{})
	open := &entry{
		kind: entryOpen, ballot: multiraft.Ballot{Term: 9, Sub: 1}, member: multiraft.Member{Node: 2}, prevEpoch: 3,
		base: []shardmap.Version{v(3, 5)}, lost: []uint64{2}, clean: maskOf(1),
	}
	state, err := n.Regenerated(1, 1, []shardmap.NodeID{3}, [][]byte{open.encode(), []byte("something else")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := decodeLineage(state)
	if err != nil {
		t.Fatal(err)
	}
	if cut, _ := l.cut(0, v(3, 7)); cut != v(3, 5) || l.opened() != 4 {
		t.Errorf("3/7 is cut to %v, the last epoch is %d", cut, l.opened())
	}
	if len(l.seats) != 1 || l.seats[0] != cfg.Self {
		t.Errorf("a whole copy has no seat: %+v", l.seats)
	}
}
