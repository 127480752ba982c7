package shardgroup

import (
	"fmt"
	"testing"
	"time"
)

// TestNothingIsWrittenWhileAnEpochIsRenewed: the Open of a renewal states the heads
// as its bases; an eviction of a shrinking budget must wait until it is applied, or
// the epoch's own record lies above the base and the ring has a gap.
func TestNothingIsWrittenWhileAnEpochIsRenewed(t *testing.T) {
	w, a, _, _ := trio(t)
	for _, m := range w.nodes {
		m.n.seqMax = 5
	}
	for i := range 5 {
		w.must(a, 0, fmt.Sprint("k", i), "v")
	}
	w.run(50 * time.Millisecond)
	if _, err := w.set(a, 0, "k6", "6"); err != ErrParked {
		t.Fatal(err)
	}
	a.n.Tick(w.now) // proposes the Open
	if !a.rep().lead.parked || a.rep().lead.proposed == nil {
		t.Fatal("no renewal under way")
	}
	a.rep().SetBudget(250) // group 0 shrinks the budget meanwhile
	a.n.Tick(w.now)
	w.settle("a new epoch", func() bool { return a.rep().line.epoch() == 2 && !a.rep().lead.parked })
	s := a.rep().shards[0]
	last := version(1, 0)
	s.ring.each(s.ring.start(), func(raw []byte) bool {
		if prevOf(raw) != last && versionOf(raw) > version(1, 1) {
			t.Errorf("record %v follows %v, its ring has %v before it", versionOf(raw), prevOf(raw), last)
		}
		last = versionOf(raw)
		return true
	})
	for _, m := range w.nodes[1:] {
		w.run(50 * time.Millisecond)
		if eventSeen(m, EventOverwritten, "") {
			t.Errorf("node %d was filled for it", m.id)
		}
	}
}
