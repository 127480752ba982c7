package shardgroup

import (
	"fmt"
	"testing"
	"time"
)

// TestAnOfferedOpenIsNotPlannedAnew: an Open without an outcome after a second is offered
// once more, and it is the same one. A source that restarts meanwhile is no reason to
// begin another copy: the Open in the log may be applied any moment, and opens on what
// this node holds then.
func TestAnOfferedOpenIsNotPlannedAnew(t *testing.T) {
	cfg := bigConfig()
	cfg.FillBytes = 120
	w := newWorld(t, 1, cfg, 3, 3)
	a, b, c := w.serve(1), w.nodes[1], w.nodes[2]
	w.synced(1, 2, 3)
	w.run(300 * time.Millisecond)
	w.fill(a, 0, 1, 30)
	w.spread()
	w.hush(1, 2, true)
	for i := range 30 {
		w.must(a, 0, fmt.Sprintf("k%d", i), "newer")
	}
	w.spread()
	w.hush(1, 2, false)
	s := a.rep().shards[0]
	s.whole = false // what it holds is from 3
	w.depose(a)
	w.cut(0, 1, false)
	if !w.elect(a) {
		t.Fatal("not elected")
	}
	a.rep().passes = passesMax
	w.until("proposed", func() bool { tk := a.rep().take; return tk != nil && tk.proposed })
	base := s.m.Position()
	if base != version(1, 60) || dump(s) != w.state[0][base] {
		t.Fatalf("copied to %v", base)
	}
	w.pass(1100 * time.Millisecond)
	a.n.Tick(w.now)
	w.cut(0, 1, true)
	w.crash(c)
	w.restart(c)
	w.seal(a, c) // empty
	w.seal(a, b) // at the 30th write
	for range 4 {
		w.spread() // a few pieces of a copy, if one was begun
	}
	for range 2 {
		w.replicate(a, b)
		w.replicate(a, c)
	}
	w.settle("serves", func() bool { return w.holder() == a })
	if r := w.lastRow(a); r.base[0] != base {
		t.Fatalf("base %v", r.base[0])
	}
	if got := dump(s); got != w.state[0][base] {
		t.Errorf("node 1 serves from %v, whole %v, with\n%s\nwhere that is\n%s", base, s.whole, got, w.state[0][base])
	}
}

// until runs rounds up to the one after which something is so.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for range 4000 {
		w.pass(5 * time.Millisecond)
		w.round()
		if done() {
			return
		}
	}
	w.t.Fatalf("never: %s\n%s", what, w.describe())
}
