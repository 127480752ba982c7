package shardgroup

import (
	"fmt"
	"strings"
	"testing"
)

// TestAFillWaitsForALowerBudget: a copy on a node with less memory was filled with all that
// the holder still had of the time before, and held more than it may.
func TestAFillWaitsForALowerBudget(t *testing.T) {
	const keys, budget = 200, 128 << 10
	w, a, _, c := trio(t)
	value := strings.Repeat("v", 1500)
	for i := range keys {
		w.must(a, 0, fmt.Sprint("k", i), value)
		w.spread()
	}
	w.synced(1, 2, 3)
	w.crash(c)
	w.restart(c)
	for _, m := range w.nodes {
		m.rep().SetBudget(budget)
	}
	shard := c.rep().shards[0]
	for range 600 {
		w.pass(1e6)
		w.round()
		if held := shard.m.HeldBytes(); held > budget*11/10 {
			t.Fatalf("a copy of a shard with a budget of %d holds %d bytes, the holder's limit in force is %d", budget, held, a.rep().shards[0].m.LimitBytes())
		}
	}
	if !shard.whole || shard.m.Len() == 0 || shard.m.Len() >= keys {
		t.Errorf("the copy is whole: %v, and has %d of %d keys", shard.whole, shard.m.Len(), keys)
	}
	w.finish()
}

// TestAFillDoesNotWaitForABudgetThatCannotBeReached: nothing is left to evict, or nothing
// may be: then the copy is worth more than the bound.
func TestAFillDoesNotWaitForABudgetThatCannotBeReached(t *testing.T) {
	w, a, _, c := trio(t)
	w.must(a, 0, "k", "v")
	w.synced(1, 2, 3)
	w.crash(c)
	w.restart(c)
	for _, m := range w.nodes {
		m.rep().SetBudget(1)
	}
	w.settle("the copy is whole", func() bool { return c.rep().shards[0].whole })
	if a.rep().shards[0].m.LimitBytes() <= 1 {
		t.Error("a budget of one byte was reached")
	}
	w.finish()
}

// TestACopyThatPassesItsLimitIsGivenUp: the holder does not know that the node of a copy
// has less memory. The copy is emptied and says so, and is filled when the holder knows.
func TestACopyThatPassesItsLimitIsGivenUp(t *testing.T) {
	const keys, budget = 80, 64 << 10
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes, cfg.FillBytes = 64<<10, 8<<10, 16<<10 // the ring does not reach back
	w := newWorld(t, 1, cfg, 3, 3)
	a, c := w.serve(1), w.nodes[2]
	w.synced(1, 2, 3)
	value := strings.Repeat("v", 20_000)
	for i := range keys {
		w.must(a, 0, fmt.Sprint("k", i), value)
		w.spread()
	}
	w.synced(1, 2, 3)
	w.crash(c)
	w.restart(c)
	c.rep().SetBudget(budget)
	shard := c.rep().shards[0]
	for range 200 {
		w.pass(1e6)
		w.round()
		if held, most := shard.m.HeldBytes(), int64(budget+hardLimitMin+100_000); held > most || shard.whole {
			t.Fatalf("the copy holds %d bytes, at most %d wanted; it is whole: %v", held, most, shard.whole)
		}
	}
	if !eventSeen(c, EventNotWhole, "with a budget of 65536") {
		t.Error("nothing is told")
	}
	a.rep().SetBudget(budget)
	w.nodes[1].rep().SetBudget(budget)
	w.settle("the copy is whole", func() bool { return shard.whole })
	w.finish()
}
