package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// TestASourceWhoseRingGotShortIsStillACopy: between its Seal reply and the pull (a
// gate lasts up to L) other shards of the source's node take ring blocks back. It
// still has an exact whole copy with everything that a majority acknowledged, so
// one death of three loses nothing, and a strict group comes back.
func TestASourceWhoseRingGotShortIsStillACopy(t *testing.T) {
	for _, policy := range []Recovery{RecoverAvailable, RecoverStrict} {
		t.Run(fmt.Sprint("recovery ", policy), func(t *testing.T) {
			cfg := bigConfig()
			cfg.RingBytes, cfg.BlockBytes, cfg.Recovery = 256<<10, 8<<10, policy
			w := newWorld(t, 1, cfg, 3, 3)
			a := w.serve(1)
			w.synced(1, 2, 3)
			w.run(300 * time.Millisecond)
			b, c := w.nodes[1], w.nodes[2]
			w.hush(1, 2, true) // B lags; A and C are the majority
			for i := range 20 {
				if _, err := w.do(a, 0, setCommand(fmt.Sprint("k", i), strings.Repeat("v", 3000)), Majority); err != nil {
					t.Fatal(err)
				}
				w.spread()
			}
			if !w.writes[19].maj {
				t.Fatal("not acknowledged by A and C")
			}
			w.crash(a)
			if !w.elect(b) {
				t.Fatal("not elected")
			}
			for range 10 {
				w.lead(b)
			}
			if b.rep().take == nil || len(b.rep().take.replies) < 2 {
				t.Fatal("not sealed")
			}
			other := &shard{r: c.rep(), n: c.n, pool: c.n.pool} // of another group at C's node
			other.mu.Lock()
			for i := range 40 {
				rec := statemachine.Record{Version: version(1, uint64(i+1)), Prev: version(1, uint64(i)), Op: statemachine.OpSet, Key: []byte("k"), Value: make([]byte, 6000)}
				raw := statemachine.AppendRecord(nil, &rec)
				other.ring.add(other, raw)
			}
			other.mu.Unlock()
			for range 4000 {
				if w.holder() != nil {
					break
				}
				if n := len(w.transfers); n > 0 { // to one that has everything
					w.elect(w.node(w.transfers[n-1]))
					w.transfers = nil
				}
				w.pass(5 * time.Millisecond)
				w.round()
			}
			h := w.holder()
			if h == nil {
				t.Fatalf("nobody serves after 20 s although a whole seat with everything is there\n%s", w.describe())
			}
			if r := w.lastRow(h); r.base[0] < w.writes[19].v || !r.clean.has(0) {
				t.Fatalf("base %v, clean %b: majority writes up to %v are lost although C has them all", r.base[0], r.clean, w.writes[19].v)
			}
		})
	}
}
