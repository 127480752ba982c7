package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCopiesFilledInThisSessionAreOldCopiesToo is L9 for copies that were blank
// when their session began: they were filled, count as seats, and must not be
// overwritten both at once when both fall off the ring.
func TestCopiesFilledInThisSessionAreOldCopiesToo(t *testing.T) {
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes, cfg.FillBytes = 64<<10, 8<<10, 8<<10
	w := newWorld(t, 1, cfg, 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	value := strings.Repeat("v", 4000)
	for i := range 100 {
		w.must(a, 0, fmt.Sprint("k", i), value)
		w.spread()
	}
	w.synced(1, 2, 3)
	for i := 2; i <= 3; i++ { // one by one they restart, are filled and admitted
		m := w.nodes[i-1]
		w.crash(m)
		w.restart(m)
		w.settle("admitted", func() bool { s, _ := a.rep().line.seat(m.id); return s.Inc == m.inc })
	}
	w.synced(1, 2, 3)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.must(a, 0, "k", "1")
	w.run(300 * time.Millisecond)
	w.set(a, 0, "k", "2")
	w.settle("solo is declared", func() bool { return a.rep().shards[0].soloOn })
	for i := range 60 { // both cursors fall off the ring
		w.must(a, 0, fmt.Sprint("k", i), value)
	}
	w.hush(1, 2, false)
	w.hush(1, 3, false)
	for range 400 {
		w.pass(time.Millisecond)
		w.round()
		b, c := w.nodes[1].rep().shards[0], w.nodes[2].rep().shards[0]
		if !b.whole && !c.whole {
			w.crash(a)
			r := w.lastRow(w.serve(2))
			t.Fatalf("both seats are overwritten at once; A dies: base %v clean %b hole %b", r.base, r.clean, r.hole)
		}
	}
	w.finish()
}
