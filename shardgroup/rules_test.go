package shardgroup

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Rules that no numbered schedule shows by itself.

func TestGapIsNotSkipped(t *testing.T) {
	w, a, b, _ := trio(t)
	w.must(a, 0, "k1", "1")
	a.n.NextData(b.id, nil, w.now) // lost
	w.must(a, 0, "k2", "2")
	w.send(a, b)
	w.deliver(a, b)
	if got := b.rep().shards[0].m.Position(); got != version(1, 0) {
		t.Fatalf("a follower went over a gap to %v", got)
	}
	w.finish()
	if eventSeen(b, EventOverwritten, "") {
		t.Fatal("a gap cost a resynchronization")
	}
}

// TestADamagedCopyIsFilled loses a key of a follower's copy, as a bit that flips may
// do: the next digest tells, the copy gives up its claim, and is filled.
func TestADamagedCopyIsFilled(t *testing.T) {
	w, a, b, _ := trio(t)
	w.fill(a, 0, 1, 5)
	w.spread()
	s := b.rep().shards[0]
	s.mu.Lock()
	if err := s.m.ReplaceRange(0, math.MaxUint64, nil); err != nil {
		t.Fatal(err)
	}
	s.mu.Unlock()
	w.timed = true // the oracle would stop the run at once
	w.run(2 * time.Second)
	if !eventSeen(b, EventNotWhole, "digest differs") || !eventSeen(b, EventOverwritten, "filling") {
		t.Fatalf("a damaged copy went unnoticed: %+v", b.events)
	}
	if got, want := dump(s), dump(a.rep().shards[0]); got != want || !s.whole {
		t.Fatalf("after the fill %q, whole %v, want %q", got, s.whole, want)
	}
}

// TestAnOpenWithoutItsLeaseOpensNothing applies the own Open when the lease that it
// was for has just been closed (F7).
func TestAnOpenWithoutItsLeaseOpensNothing(t *testing.T) {
	w, a, b, _ := trio(t)
	w.must(a, 0, "k", "1")
	w.spread()
	w.crash(a)
	if !w.elect(b) {
		t.Fatal("node 2 is not elected")
	}
	b.refuses = true
	w.run(2 * time.Second)
	if rows := len(b.rep().line.rows); rows < 2 || b.rep().leads.Load() || b.rep().take != nil {
		t.Fatalf("%d rows, serves %v", rows, b.rep().leads.Load())
	}
	b.refuses = false
	w.restart(a)
	w.serve(3)
	w.finish()
}

// TestAnotherCopyOnTheSameNode replaces a follower's replica by a blank one in the
// same life of its node, as a placement that changes its mind does. The leader hears
// of the new one while the old one is still there to answer.
func TestAnotherCopyOnTheSameNode(t *testing.T) {
	w, a, b, _ := trio(t)
	w.fill(a, 0, 1, 3)
	w.spread()
	conf := w.config(3)
	conf.Voters[1].ID = 9
	a.n.ConfigApplied(worldGroup, conf, w.now)
	b.n.ConfigApplied(worldGroup, conf, w.now)
	for range 5 {
		w.send(a, b)
		w.deliver(a, b)
		w.send(b, a)
		w.deliver(b, a)
	}
	s := a.rep().shards[0]
	if f := s.follower(b.id); f.whole || s.holding(version(1, 1)) > 1 {
		t.Fatal("the copy that is to go answered for the one to come")
	}
	state := b.n.StateSnapshot(worldGroup)
	b.n.Drop(worldGroup)
	b.n.Join(worldGroup, 9, multiraft.RoleVoter)
	b.n.StateRestore(worldGroup, state, w.now)
	b.n.ConfigApplied(worldGroup, conf, w.now)
	self := multiraft.Member{Node: b.id, Inc: b.inc}
	a.n.Sealed(worldGroup, a.lead.ballot, self, multiraft.RoleVoter, b.n.Seal(worldGroup, a.lead.ballot, a.n.cfg.Self, w.now), w.now)
	w.synced(1, 2, 3)
	if !eventSeen(b, EventOverwritten, "filling") {
		t.Fatal("the new copy was never filled")
	}
}

func TestGateCountsFromWhatIsHeld(t *testing.T) { // hole 16
	w, a, b, c := trio(t)
	w.fill(a, 0, 1, 2)
	w.spread()
	w.hush(1, 3, true)
	w.fill(a, 0, 3, 6)
	w.spread()
	w.crash(a)
	w.hush(2, 3, true)
	w.serve(2)
	if s := b.rep().shards[0]; s.held != version(1, 2) || s.tailOf() == 0 {
		t.Fatalf("held %v, tail %d: node 3 has no more than %v", s.held, s.tailOf(), c.rep().shards[0].m.Position())
	}
}

func TestAdmitWaitsForTheFill(t *testing.T) {
	w, a, b, _ := trio(t)
	for i := range 50 {
		w.must(a, 0, fmt.Sprint("k", i), strings.Repeat("v", 5000))
		w.spread()
	}
	w.crash(b)
	w.restart(b)
	for b.rep().shards[0].xfer == 0 {
		w.lead(a)
		w.send(a, b)
		w.deliver(a, b)
		w.send(b, a)
		w.deliver(b, a)
	}
	if _, ok := a.rep().filled(2); ok || a.rep().Filled(2) {
		t.Fatal("a copy under way is filled")
	}
	w.finish()
}

func TestUncleanIsCarriedOn(t *testing.T) { // hole 11
	l := &lineage{shards: 2}
	open := func(e uint32, clean uint64) {
		l.apply(&entry{kind: entryOpen, prevEpoch: e, base: make([]shardmap.Version, 2), lost: make([]uint64, 2), clean: mask{clean}})
	}
	open(0, 3)
	open(1, 1)
	open(2, 3)
	if r := l.last(); r.clean != maskOf(1) || r.bounded != maskOf(1) || l.thin != (mask{2}) {
		t.Fatalf("clean %b bounded %b thin %b", r.clean, r.bounded, l.thin)
	}
	l.apply(&entry{kind: entryExposure})
	open(3, 3)
	if r := l.last(); r.clean != maskOf(2) || !l.thin.empty() {
		t.Fatalf("clean %b thin %b", r.clean, l.thin)
	}
}

func TestHolderWithoutASeatOpensUnclean(t *testing.T) { // hole 10
	w := newWorld(t, 1, bigConfig(), 4, 3)
	a := w.serve(1)
	w.fill(a, 0, 1, 3)
	w.synced(1, 2, 3, 4)
	w.spares = 0
	for _, m := range w.nodes {
		m.n.ConfigApplied(worldGroup, w.config(4), w.now)
	}
	w.crash(a)
	d := w.nodes[3]
	d.rep().passes = passesMax
	w.serve(4)
	w.wantRow(d, []shardmap.Version{version(1, 3), version(1, 0)}, 0, 0)
	if _, ok := d.rep().line.seat(4); !ok || len(d.rep().line.seats) != 3 {
		t.Fatalf("seats %v", d.rep().line.seats)
	}
}

func TestLeaseIsChecked(t *testing.T) {
	w, a, _, _ := trio(t)
	ad, err := w.set(a, 0, "k", "v")
	if err != nil || !ad.Fresh(w.now) {
		t.Fatal(err)
	}
	a.lease.valid = false
	if ad.Fresh(w.now) {
		t.Fatal("fresh under an expired lease")
	}
	if got := w.get(a, 0, "k"); got != ErrParked.Error() {
		t.Fatalf("read under an expired lease: %q", got)
	}
	if _, err := w.set(a, 0, "k", "w"); err != ErrParked {
		t.Fatalf("write under an expired lease: %v", err)
	}
}

func TestMovedNamesTheHolder(t *testing.T) {
	w, a, b, _ := trio(t)
	if ad, err := w.set(b, 0, "k", "v"); err != ErrMoved || ad.Holder != a.id {
		t.Fatalf("%v %v", ad, err)
	}
}
