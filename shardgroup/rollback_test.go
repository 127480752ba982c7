package shardgroup

import (
	"fmt"
	"strings"
	"testing"
)

// TestAFillReportsWhatItOverwritesWithoutTheRow: a returning holder is greeted and
// filled by the data stream before raft has brought it the row that cut its writes.
// It must still say which writes are lost (DESIGN 5, Rollback): the list is the only
// exact word there is.
func TestAFillReportsWhatItOverwritesWithoutTheRow(t *testing.T) {
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes = 16<<10, 2<<10
	w := newWorld(t, 1, cfg, 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	lost := w.must(a, 0, "lost", "1")
	w.cut(0, 1, false)
	w.cut(0, 2, false)
	w.hush(1, 2, false)
	w.hush(1, 3, false)
	b := w.serve(2)
	for i := range 40 { // its ring no longer reaches to the cut
		w.must(b, 0, fmt.Sprint("k", i), strings.Repeat("v", 1000))
		w.spread()
	}
	w.cut(0, 1, true) // streams before raft
	for range 20 {
		w.spread()
	}
	if s := a.rep().shards[0]; !s.whole || s.m.Position() != b.rep().shards[0].m.Position() {
		t.Fatalf("not filled: %v %v", s.m.Position(), s.whole)
	}
	for _, r := range a.rolled {
		for _, l := range r.Lost {
			if l.Version == lost {
				return
			}
		}
	}
	t.Fatalf("%v was acknowledged, is overwritten and nobody says so: %d rollbacks reported", lost, len(a.rolled))
}
