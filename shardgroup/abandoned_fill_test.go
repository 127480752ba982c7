package shardgroup

import (
	"testing"
	"time"
)

// TestAFillThatStandsKeepsNoLog: the way between holder and copy breaks in a fill, both ways
// to the third node stand. Nobody seals and no fill goes on, but the log is let go of. The
// copy is filled once the way is there again, also when it is the same session.
func TestAFillThatStandsKeepsNoLog(t *testing.T) {
	for name, breaks := range map[string]bool{"broken": true, "standing": false} {
		t.Run(name, func(t *testing.T) {
			w, a, c, _ := offTheRing(t, 400, 4)
			a.n.cfg.FillBytes = 4096
			s, begun := c.rep().shards[0], false
			w.heard = func(m *member) {
				if m == c && !begun && s.xfer != 0 {
					begun = true
					w.hush(1, 3, true)
					if breaks {
						w.cut(0, 2, false)
					}
				}
			}
			w.hush(1, 3, false)
			w.settle("a fill is under way", func() bool { return begun })
			stood := c.wal.End()
			needed := func(wait time.Duration) bool {
				w.run(wait)
				return s.releaseLog(stood, w.now.Mono) < stood
			}
			if !needed(xferPatience - time.Second) {
				t.Fatal("the log is let go of under a fill that may go on")
			}
			if needed(2 * time.Second) {
				t.Error("the log is kept for a fill that stands")
			}
			w.heard = nil
			w.hush(1, 3, false)
			w.cut(0, 2, true)
			w.settle("the copy is filled", func() bool { return s.whole && s.m.Position() == a.rep().shards[0].m.Position() })
		})
	}
}
