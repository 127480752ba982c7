package shardgroup

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestWhatNobodyAskedForIsTold: a holder whose copy takes more than its budget evicts
// without a write of a client, under its lease only, and says what went: whoever counts
// losses could not tell it from one.
func TestWhatNobodyAskedForIsTold(t *testing.T) {
	w, a, _, _ := trio(t)
	hashes := map[string]uint64{}
	m := statemachine.New(statemachine.Config{HashKey: a.n.cfg.Secret, BudgetBytes: 1 << 20})
	for i := range 8 {
		key := fmt.Sprint("k", i)
		hashes[key] = m.Hash([]byte(key))
		w.must(a, 0, key, "v")
	}
	w.spread()
	a.lease.valid = false
	a.rep().SetBudget(a.rep().shards[0].m.HeldBytes() - 100)
	a.n.Tick(w.now)
	if eventSeen(a, EventShrunk, "") {
		t.Error("evicted without a lease")
	}
	a.lease.valid = true
	w.settle("the budget", func() bool {
		a.n.Tick(w.now)
		s := a.rep().shards[0].m
		return s.HeldBytes() <= s.BudgetBytes()
	})
	told := map[uint64]bool{}
	for _, e := range a.events {
		if e.Kind == EventShrunk {
			for _, v := range e.Evicted {
				told[v.Hash] = true
			}
		}
	}
	if len(told) == 0 {
		t.Error("nothing is told")
	}
	for key, hash := range hashes {
		if there := w.get(a, 0, key) == "v"; there == told[hash] {
			t.Errorf("%s is there: %v, told to be evicted: %v", key, there, told[hash])
		}
	}
}
