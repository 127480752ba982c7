package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestATakeoverWaitsForTheLog: a new holder whose log's disk stands copies no more whole
// shards into memory than may wait for the disk, and goes on when it answers.
func TestATakeoverWaitsForTheLog(t *testing.T) {
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes, cfg.BudgetBytes = 1<<20, 64<<10, 1<<30
	w := newWorld(t, 1, cfg, 3, 3)
	a, c := w.serve(1), w.nodes[2]
	w.synced(1, 2, 3)
	w.hush(1, 3, true)
	w.hush(2, 3, true)
	value := []byte(strings.Repeat("v", 250<<10))
	for i := range 100 { // 25 MB
		cmd := &statemachine.Command{Kind: statemachine.Set, Key: fmt.Append(nil, "key", i), Value: value}
		for !w.taken(a, cmd) {
			w.flow()
		}
		w.flow()
	}
	c.stalls = true
	w.hush(1, 3, false)
	w.hush(2, 3, false)
	w.elect(c)
	c.rep().passes = passesMax
	most := int64(0)
	for range 400 {
		w.flow()
		most = max(most, c.wal.Backlog())
	}
	if most <= backlogMax || most > backlogMax+4<<20 {
		t.Errorf("%d MB wait in memory for the disk, of %d MB that may", most>>20, backlogMax>>20)
	}
	c.stalls = false
	for i := 0; c.rep().lead == nil; i++ {
		if w.flow(); i > 1000 {
			t.Fatal("the disk answers again, and the takeover does not go on")
		}
	}
}

// taken writes at the holder; false when it has to be tried again.
func (w *world) taken(m *member, c *statemachine.Command) bool {
	var res statemachine.Result
	_, err := m.rep().Do(0, c, Async, &res, w.now)
	return err == nil
}

// flow is a round without the oracle, to which a few large values cost seconds.
func (w *world) flow() {
	w.pass(5 * time.Millisecond)
	for _, m := range w.nodes {
		if m.lead != nil {
			w.lead(m)
		}
	}
	for _, m := range w.nodes {
		m.n.Tick(w.now)
		for w.applyNext(m) {
		}
	}
	for range 3 {
		for _, x := range w.nodes {
			for _, y := range w.nodes {
				w.send(x, y)
				w.deliver(x, y)
			}
		}
	}
}
