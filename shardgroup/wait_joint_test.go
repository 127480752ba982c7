package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWaitCountsOldAndNewSeats: while seats are proposed, a majority is one of both
// sets (L8), and WAIT 1 at three seats is as strong as a majority. A number that only
// the old seats make true is not true when the entry is applied.
func TestWaitCountsOldAndNewSeats(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 4, 3)
	a := w.serve(1)
	w.synced(1, 2, 3, 4)
	w.run(300 * time.Millisecond)
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 4})
	a.n.Tick(w.now)
	if a.rep().lead.joint == nil {
		t.Fatal("no swap under way")
	}
	w.hush(1, 2, true)
	w.hush(1, 4, true)
	ad, err := w.set(a, 0, "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	w.spread() // 3 has it, whose seat goes
	o := a.rep().Await(ad.Lease, Ticket{ID: 99, Shard: 0, Version: ad.Version, Level: Seats, Need: 1}, w.now)
	n, _ := a.rep().Holding(ad.Lease, 0, ad.Version)
	if o != Acked && n == 0 {
		return
	}
	for range 100 {
		w.pass(5 * time.Millisecond)
		w.round()
	}
	if _, swapped := a.rep().line.seat(4); !swapped {
		return
	}
	w.crash(a)
	w.crash(w.nodes[2]) // its copy goes with its seat
	w.restart(w.nodes[2])
	b := w.serve(2)
	if r := w.lastRow(b); r.base[0] < ad.Version && r.clean.has(0) {
		t.Fatalf("WAIT 1 said %v (%d hold it) while the seats changed; one seat of three died; the row with base %v is clean", o, n, r.base[0])
	}
}
