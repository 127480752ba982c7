package shardgroup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestWhatNobodyAskedForIsTold: a holder whose copy takes more than its budget evicts
// without a write of a client, under its lease only, and says what went: whoever counts
// losses could not tell it from one.
func TestWhatNobodyAskedForIsTold(t *testing.T) {
	w, a, _, _ := trio(t)
	hashes, value := map[string]uint64{}, strings.Repeat("v", 1500)
	m := statemachine.New(statemachine.Config{HashKey: a.n.cfg.Secret, BudgetBytes: 1 << 20})
	for i := range 8 {
		key := fmt.Sprint("k", i)
		hashes[key] = m.Hash([]byte(key))
		w.must(a, 0, key, value)
	}
	w.spread()
	a.lease.valid = false
	a.rep().SetBudget(12 << 10) // less than all of them take
	a.n.Tick(w.now)
	if eventSeen(a, EventShrunk, "") {
		t.Error("evicted without a lease")
	}
	a.lease.valid = true
	w.settle("the budget", func() bool {
		a.n.Tick(w.now)
		s := a.rep().shards[0].m
		return s.LimitBytes() <= s.BudgetBytes()
	})
	told := map[uint64]bool{}
	for _, e := range a.events {
		if e.Kind == EventShrunk {
			for _, v := range e.Evicted {
				told[v.Hash] = true
			}
		}
	}
	if len(told) == 0 || a.rep().shards[0].m.HeldBytes() > 12<<10 {
		t.Errorf("%d are told, %d bytes held", len(told), a.rep().shards[0].m.HeldBytes())
	}
	for key, hash := range hashes {
		if there := w.get(a, 0, key) == value; there == told[hash] {
			t.Errorf("%s is there: %v, told to be evicted: %v", key, there, told[hash])
		}
	}
}
