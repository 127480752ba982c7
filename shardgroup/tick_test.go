package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestTickIsWantedWhenSomethingIsDue: a node at rest needs ten ticks a second, one
// that takes over a hundred, and one that somebody waits at for a time its deadline.
func TestTickIsWantedWhenSomethingIsDue(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	w.run(300 * time.Millisecond)
	a.n.Tick(w.now)
	if in := a.n.TickIn(w.now); in != tickIdle {
		t.Fatalf("at rest the next tick is wanted in %v", in)
	}
	w.now.Mono += tickSpare - tickSlack
	if !a.n.TickDue(w.now) {
		t.Fatal("a tick that comes by the way after 50 ms does nothing")
	}
	a.n.Tick(w.now)

	w.hush(1, 2, true)
	w.hush(1, 3, true)
	ad, err := w.set(a, 0, "k", "v")
	if err != nil {
		t.Fatal(err)
	}
	due := w.now.Mono + 7*time.Millisecond
	if o := a.rep().Await(ad.Lease, Ticket{ID: 9, Shard: 0, Version: ad.Version, Level: Majority, Deadline: due}, w.now); o != Waiting {
		t.Fatalf("a write that nobody else holds: %v", o)
	}
	if in := a.n.TickIn(w.now); in != 7*time.Millisecond {
		t.Fatalf("with a deadline in 7 ms the next tick is wanted in %v", in)
	}
	w.now.Mono = due
	if !a.n.TickDue(w.now) {
		t.Fatal("a tick at the deadline does nothing")
	}
	a.n.Tick(w.now)
	if o, ok := a.due[9]; !ok || o != Pending {
		t.Fatalf("at its deadline the ticket is answered: %v, %v", ok, o)
	}
	if in := a.n.TickIn(w.now); in != tickIdle {
		t.Fatalf("with no deadline left the next tick is wanted in %v", in)
	}

	slept := w.now
	slept.SuspendOffset += time.Second
	if !a.n.TickDue(slept) || a.n.TickIn(slept) != 0 {
		t.Fatal("a machine that slept is not late")
	}

	a.rep().SetSeats([]shardmap.NodeID{1, 2})
	a.n.Tick(w.now)
	if in := a.n.TickIn(w.now); in != tickBusy {
		t.Fatalf("on the way to other seats the next tick is wanted in %v", in)
	}
}

// TestATakeoverIsLookedAtSoon: its grace is 25 ms, and an idle node sleeps 100.
func TestATakeoverIsLookedAtSoon(t *testing.T) {
	w, _, b, _ := trio(t)
	b.n.Tick(w.now)
	if in := b.n.TickIn(w.now); in != tickIdle {
		t.Fatalf("at rest the next tick is wanted in %v", in)
	}
	ballot := multiraft.Ballot{Term: 1000}
	self := multiraft.Member{Node: b.id, Inc: b.inc}
	b.n.Sealed(worldGroup, ballot, self, multiraft.RoleVoter, b.n.Seal(worldGroup, ballot, self, w.now), w.now)
	if in := b.n.TickIn(w.now); in != tickBusy {
		t.Fatalf("with a takeover under way the next tick is wanted in %v", in)
	}
}
