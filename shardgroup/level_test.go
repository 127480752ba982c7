package shardgroup

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestFollowersKeepUpUnderLoad: there is always a write on its way to a follower that
// keeps up, and it counts as caught up all the same; one that stands still does not.
func TestFollowersKeepUpUnderLoad(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	w.run(300 * time.Millisecond)
	writes := 0
	write := func() {
		writes++
		if _, err := w.set(a, 0, "k", fmt.Sprint(writes)); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp := func(node shardmap.NodeID) bool {
		for _, f := range a.rep().Status(w.now).Followers {
			if f.Node == node {
				return f.CaughtUp
			}
		}
		t.Fatalf("node %d is no follower", node)
		return false
	}
	load := func(d time.Duration, each func()) {
		for end := w.now.Mono + d; w.now.Mono < end; w.run(20 * time.Millisecond) {
			write() // nobody has it yet
			each()
		}
	}
	load(2*time.Second, func() {
		if !caughtUp(2) || !caughtUp(3) {
			t.Fatalf("after %d writes: caught up are 2 %v, 3 %v", writes, caughtUp(2), caughtUp(3))
		}
	})
	w.hush(1, 2, true)
	load(levelWithin+500*time.Millisecond, func() {})
	if caughtUp(2) || !caughtUp(3) {
		t.Errorf("2 hears nothing: caught up are 2 %v, 3 %v", caughtUp(2), caughtUp(3))
	}
	w.hush(1, 2, false)
	load(time.Second, func() {})
	if !caughtUp(2) {
		t.Error("2 hears all again, and is not caught up")
	}
}
