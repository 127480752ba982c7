package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestTheSecondCopyOfAnEntryDecidesNothing: an entry whose outcome is not known after a
// second is offered once more, so the log has it twice. The second copy may be applied
// when the next Seats entry is under way already, and says nothing of that one: held
// still counts over both sets of seats (L8).
func TestTheSecondCopyOfAnEntryDecidesNothing(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 4, 3)
	a := w.serve(1)
	w.synced(1, 2, 3, 4)
	w.run(300 * time.Millisecond)
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 4})
	before := len(a.log)
	for range 110 { // raft is slow, the streams are not
		w.pass(10 * time.Millisecond)
		a.n.Tick(w.now)
		w.spread()
	}
	if len(a.log) != before+2 {
		t.Fatalf("%d entries were offered, want the swap and its second copy", len(a.log)-before)
	}
	for _, f := range w.nodes {
		w.replicate(a, f)
	}
	w.commit(a)
	if !w.applyNext(a) || a.rep().lead.joint != nil {
		t.Fatal("3 has not given its seat to 4")
	}
	a.rep().SetSeats([]shardmap.NodeID{1, 3, 4})
	a.n.Tick(w.now)
	if a.rep().lead.joint == nil {
		t.Fatal("the second swap is not under way")
	}
	if !w.applyNext(a) {
		t.Fatal("the second copy of the first swap was not applied")
	}
	w.hush(1, 3, true)
	w.hush(1, 4, true)
	if _, err := w.do(a, 0, setCommand("k", "v"), Majority); err != nil {
		t.Fatal(err)
	}
	w.spread() // 2 has it, whose seat goes
	if w.writes[0].maj {
		t.Error("answered by the old seats alone while new ones are proposed")
	}
	w.run(100 * time.Millisecond)
	if _, swapped := a.rep().line.seat(3); !swapped {
		t.Fatal("2 has not given its seat to 3")
	}
	w.crash(a)
	w.crash(w.nodes[1]) // its copy goes with its seat
	w.restart(w.nodes[1])
	d := w.serve(3)
	if r := w.lastRow(d); w.writes[0].maj && r.base[0] < w.writes[0].v && r.clean.has(0) {
		t.Errorf("majority write %v is lost, one of three seats died, the row with base %v is clean", w.writes[0].v, r.base[0])
	}
}
