package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestALateFillGivesItsTurnBack: two old copies are off the ring. The one that is filled
// first cannot say that it is whole, because its log's disk stands; the other one does not
// wait for that (L9). With the disk the first one is in step as well.
func TestALateFillGivesItsTurnBack(t *testing.T) {
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes = 64<<10, 8<<10
	w := newWorld(t, 1, cfg, 3, 3)
	w.timed = true
	a, b, c := w.serve(1), w.nodes[1], w.nodes[2]
	w.synced(1, 2, 3)
	w.cut(0, 1, false)
	w.cut(0, 2, false)
	a.rep().line.solo = maskOf(2) // it wrote beyond the bound, as declared
	a.rep().setSolo()
	for i := range 400 {
		w.must(a, 0, fmt.Sprint("key", i%40), strings.Repeat("v", 800))
	}
	b.stalls = true
	w.cut(0, 1, true)
	w.run(100 * time.Millisecond)
	w.cut(0, 2, true)
	w.run(turnPatience / 2)
	if s := c.rep().shards[0]; s.whole && s.m.Position() == a.rep().shards[0].m.Position() {
		t.Error("two old copies were filled at a time")
	}
	w.run(turnPatience)
	if s := c.rep().shards[0]; !s.whole || s.m.Position() != a.rep().shards[0].m.Position() {
		t.Errorf("the sound copy is not filled: node %d, whose disk stands, has the turn", a.rep().oldFill.Load())
	}
	b.stalls = false
	w.settle("the late copy is acked", func() bool {
		f := a.rep().shards[0].follower(2)
		return f != nil && f.whole && !f.filling && f.acked == a.rep().shards[0].m.Position()
	})
}
