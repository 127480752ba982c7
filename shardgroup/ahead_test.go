package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// ahead makes a's copy of shard 1 one that is ahead of the lineage in time: a holder whose
// ceiling nobody remembers has swept "k", and the next holder, 2, with a slower clock,
// takes its deadline away. Nothing of that has reached a, which is cut off from both.
func ahead(t *testing.T, diverged bool) (w *world, a, b, c *member) {
	w, a, _, c = trio(t)
	w.timed = true
	w.do(a, 1, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 2000}, Async)
	w.sweptAhead(a)
	if diverged {
		w.must(a, 1, "x", "y")
	}
	b = w.serve(2)
	w.do(b, 1, &statemachine.Command{Kind: statemachine.Persist, Key: []byte("k")}, Async)
	return w, a, b, c
}

// sweptAhead cuts node 1, a holder, off from both others and sweeps three seconds ahead of
// them, as far as a ceiling allows that nobody else remembers.
func (w *world) sweptAhead(a *member) {
	w.spread()
	w.cut(0, 1, false)
	w.cut(0, 2, false)
	later := w.now
	later.Wall += 3000
	a.n.CeilingAcked(worldGroup, later.Wall)
	a.rep().sweep(later)
}

// TestACopyThatDoesNotFitGivesItselfUp: a new holder whose copy is ahead of the lineage in
// time pulls a record that does not fit it. That is the copy's fault, not the source's:
// giving the source up would open below what the source holds, on a wrong copy.
func TestACopyThatDoesNotFitGivesItselfUp(t *testing.T) {
	w, a, b, _ := ahead(t, false)
	w.must(b, 1, "m", "majority")
	w.spread()
	w.hush(1, 2, true) // raft's entries reach it, records do not
	w.hush(1, 3, true)
	w.cut(0, 1, true)
	w.cut(0, 2, true)
	w.run(60 * time.Millisecond)
	w.cut(1, 0, false)
	w.cut(1, 2, false)
	w.hush(1, 3, false)
	w.serve(1)
	if last := a.rep().line.last(); !last.clean.has(1) || len(w.transfers) > 0 {
		t.Fatalf("clean %v, base %v, handed on to %v", last.clean, last.base[1], w.transfers)
	}
	for key, want := range map[string]string{"m": "majority", "k": "v"} {
		if got := w.get(a, 1, key); got != want {
			t.Errorf("%s = %q at the new holder, not %q", key, got, want)
		}
	}
}

// TestARevertIsJudgedByTheDigest: over two takeovers in a row the copy that is ahead in time
// answered the second holder's Seal, so nothing tells that it is. A revert that leaves it
// different must not leave it whole, not even until copies are compared the next time.
func TestARevertIsJudgedByTheDigest(t *testing.T) {
	w, a, _, c := ahead(t, true)
	w.spread()
	w.cut(1, 0, false)
	w.cut(1, 2, false)
	w.cut(0, 2, true)
	w.serve(3)
	mine, theirs := a.rep().shards[1], c.rep().shards[1]
	for range 200 {
		w.pass(time.Millisecond)
		w.round()
		_, has := mine.m.Lookup([]byte("k"), true, 0)
		if mine.whole && mine.m.Position() == theirs.m.Position() && !has {
			t.Fatal("the copy calls itself whole where the holder is, without k")
		}
	}
	if got := w.get(a, 1, "k"); !mine.whole || mine.m.Digest() != theirs.m.Digest() {
		t.Fatalf("whole %v, k %q after the revert", mine.whole, got)
	}
}
