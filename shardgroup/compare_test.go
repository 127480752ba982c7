package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// offTheRing makes a group whose third copy was away while some of its shard's keys were
// written, so often that no ring reaches back to where it is, one was deleted, one expired
// and one came. It answers the bytes of the shard.
func offTheRing(t *testing.T, keys, changed int) (w *world, a, c *member, size int64) {
	cfg := bigConfig()
	cfg.RingBytes, cfg.BlockBytes, cfg.CompareBytes = 64<<10, 8<<10, 1
	w = newWorld(t, 1, cfg, 3, 3)
	w.timed = true
	a, c = w.serve(1), w.nodes[2]
	w.synced(1, 2, 3)
	value := strings.Repeat("v", 800)
	for i := range keys {
		w.must(a, 0, fmt.Sprint("key", i), value)
		if i%20 == 0 {
			w.spread()
		}
	}
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("dies"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 100}, Async)
	w.must(a, 0, "goes", "v")
	w.synced(1, 2, 3)
	w.hush(1, 3, true)
	w.hush(2, 3, true)
	for n := range max(200, changed) {
		w.must(a, 0, fmt.Sprint("key", n%changed), fmt.Sprint(n, value))
		if n%10 == 0 {
			w.spread()
		}
	}
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Del, Key: []byte("goes")}, Async)
	w.must(a, 0, "comes", "v")
	w.run(300 * time.Millisecond)
	return w, a, c, a.rep().shards[0].m.HeldBytes()
}

// back lets the third copy catch up and answers the bytes that this took.
func back(w *world, a, c *member) int64 {
	before := a.n.Usage().CatchUpBytes
	w.hush(1, 3, false)
	w.hush(2, 3, false)
	mine, theirs := c.rep().shards[0], a.rep().shards[0]
	w.settle("the copy is whole", func() bool {
		return mine.whole && mine.m.Position() == theirs.m.Position()
	})
	w.run(100 * time.Millisecond)
	mine.m.Settle()
	theirs.m.Settle()
	if mine.m.Digest() != theirs.m.Digest() || mine.m.Len() != theirs.m.Len() {
		w.t.Fatalf("%d keys, the holder has %d", mine.m.Len(), theirs.m.Len())
	}
	return a.n.Usage().CatchUpBytes - before
}

// TestACopyOffTheRingIsCompared: what a copy lacks that no ring reaches is sent, and little else.
func TestACopyOffTheRingIsCompared(t *testing.T) {
	w, a, c, size := offTheRing(t, 400, 4)
	was := probeCompared.Count()
	if sent := back(w, a, c); sent > size/20 {
		t.Errorf("%d bytes for a shard of %d of which one in a hundred entries changed", sent, size)
	}
	if probeCompared.Count() == was {
		t.Error("was not compared")
	}
	w.finish()
}

// TestACopyThatDiffersEverywhereIsNotCompared: beyond half of the buckets, every range is sent.
func TestACopyThatDiffersEverywhereIsNotCompared(t *testing.T) {
	w, a, c, size := offTheRing(t, 400, 4)
	was := probeNotCompared.Count()
	w.heard = func(*member) {
		if d := c.rep().shards[0].differs; d != nil {
			for i := range d.buckets {
				d.buckets[i] = 0xff
			}
		}
	}
	if sent := back(w, a, c); sent < size*8/10 || sent > size*3/2 || probeNotCompared.Count() == was {
		t.Errorf("%d bytes for a shard of %d", sent, size)
	}
	w.finish()
}

// TestAnAnswerThatIsLostIsSaidAgain: the ack connection breaks with the answer on it.
func TestAnAnswerThatIsLostIsSaidAgain(t *testing.T) {
	w, a, c, _ := offTheRing(t, 400, 4)
	mine := c.rep().shards[0]
	lost := 0
	var last *differs
	w.loses = func(from *member) bool {
		if from != c || mine.differs == last || !mine.differsSaid {
			return false
		}
		last = mine.differs
		c.n.AckUp(a.id)
		lost++
		return true
	}
	back(w, a, c)
	if lost < 2 {
		t.Fatalf("%d answers were lost", lost)
	}
	w.finish()
}

// TestADigestThatAgreesByChance: what comparing missed is found in the end, and the next
// fill sends everything.
func TestADigestThatAgreesByChance(t *testing.T) {
	w, a, c, size := offTheRing(t, 400, 4)
	mine := c.rep().shards[0]
	blind := false
	w.heard = func(*member) {
		if d := mine.differs; !blind && d != nil && d.buckets != nil {
			blind = true
			clear(d.buckets)
		}
	}
	sent := back(w, a, c)
	if !blind || sent < size/2 {
		t.Fatalf("made blind %v, %d bytes of %d sent", blind, sent, size)
	}
	w.finish()
}
