package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestASeatThatLeavesMustNotTakeTheMajorityAlong is the general part of L8: fewer than
// R' of the new seats may miss what was answered. Five seats answer with {1,2,3};
// without seat 3 two of the four are a read quorum, and 4 and 5 hold nothing of it.
func TestASeatThatLeavesMustNotTakeTheMajorityAlong(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 5, 5)
	a := w.serve(1)
	w.synced(1, 2, 3, 4, 5)
	w.run(300 * time.Millisecond)
	w.hush(1, 4, true)
	w.hush(1, 5, true)
	if _, err := w.do(a, 0, setCommand("k", "v"), Majority); err != nil {
		t.Fatal(err)
	}
	w.spread()
	if !w.writes[0].maj {
		t.Fatal("not answered by 1, 2 and 3")
	}
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 4, 5})
	for range 100 {
		w.pass(5 * time.Millisecond)
		w.round()
	}
	if len(a.rep().line.seats) != 4 {
		return // it waits: right
	}
	w.crash(w.nodes[2]) // its copy goes with its seat
	w.restart(w.nodes[2])
	w.crash(a)
	for i := 2; i < 5; i++ { // 2 is slow to answer
		w.cut(1, i, false)
	}
	d := w.serve(4)
	if r := w.lastRow(d); r.base[0] < w.writes[0].v && r.clean.has(0) {
		t.Fatalf("majority write %v is lost, one of four seats died, the row with base %v is clean", w.writes[0].v, r.base[0])
	}
}
