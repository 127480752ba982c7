package shardgroup

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestTheOnlyCopyKeepsNoRecords: a node that has the only copy of a group keeps none of its
// records for others, only its log if it has one; the copies that come later miss nothing,
// and from then on they hear by records.
func TestTheOnlyCopyKeepsNoRecords(t *testing.T) {
	t.Run("without a log", func(t *testing.T) { onlyCopy(t, false) })
	t.Run("with a log", func(t *testing.T) { onlyCopy(t, true) })
}

func onlyCopy(t *testing.T, logs bool) {
	w := newWorld(t, 1, bigConfig(), 3, 1)
	grown := w.config(1)
	only := multiraft.GroupConfig{Index: 1, Voters: grown.Voters}
	for _, m := range w.nodes {
		if !logs {
			m.n.log = nil
		}
		m.n.ConfigApplied(worldGroup, only, w.now)
	}
	a := w.serve(1)
	s := a.rep().shards[0]
	w.fill(a, 0, 1, 200)
	if n := len(s.ring.blocks); n != 0 || s.ring.low != s.m.Position() || s.held != s.m.Position() {
		t.Fatalf("%d blocks, low %v and held %v of %v", n, s.ring.low, s.held, s.m.Position())
	}
	if logs {
		n, err := a.revived()
		if err != nil {
			t.Fatal(err)
		}
		back := n.Replica(worldGroup).shards[0]
		if at := back.m.Position(); at != s.m.Position() || !back.whole || back.m.Digest() != s.m.Digest() {
			t.Fatalf("the log gives back %v of %v, whole %v", at, s.m.Position(), back.whole)
		}
	}
	if s.overBound(w.now.Mono + time.Hour) {
		t.Fatal("something waits to be held")
	}
	for _, m := range w.nodes {
		m.n.ConfigApplied(worldGroup, grown, w.now)
	}
	before := s.m.Position()
	w.fill(a, 0, 201, 210)
	if _, have := s.ring.find(before, s.m.Position()); !have {
		t.Fatal("the records since there are other copies are not kept")
	}
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 3})
	w.settle("three seats", func() bool { return len(a.rep().line.seats) == 3 })
	w.spares = 0
	for _, m := range w.nodes {
		m.n.ConfigApplied(worldGroup, w.config(3), w.now)
	}
	w.synced(1, 2, 3)
	w.crash(a)
	b := w.serve(2)
	for i := 1; i <= 210; i++ {
		if got := w.get(b, 0, fmt.Sprint("k", i)); got != fmt.Sprint(i) {
			t.Fatalf("k%d is %q at the next holder", i, got)
		}
	}
}
