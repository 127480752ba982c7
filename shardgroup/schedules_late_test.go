package shardgroup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Schedules 28 to 60.

func TestSchedule28GrowthAndShrink(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 3, 1)
	a := w.serve(1)
	w.fill(a, 0, 1, 200)
	a.rep().SetSeats([]shardmap.NodeID{1, 2, 3})
	for i := range 40 {
		w.must(a, 1, fmt.Sprint("live", i), "x")
		w.run(5 * time.Millisecond)
	}
	w.settle("three seats", func() bool { return len(a.rep().line.seats) == 3 })
	w.spares = 0
	for _, m := range w.nodes {
		m.n.ConfigApplied(worldGroup, w.config(3), w.now)
	}
	w.synced(1, 2, 3)
	w.crash(a)
	b := w.serve(2)
	if got := w.get(b, 0, "k200"); got != "200" {
		t.Fatalf("after growth and failover: %q", got)
	}
	if w.lastRow(b).clean != maskOf(2) {
		t.Fatal("not clean")
	}
	b.rep().SetSeats([]shardmap.NodeID{2})
	w.settle("one seat", func() bool { return len(b.rep().line.seats) == 1 })
	w.must(b, 0, "alone", "y")
}

func TestSchedule29SoloIsDeclared(t *testing.T) {
	w, a, b, _ := trio(t)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.must(a, 0, "k", "1")
	w.run(300 * time.Millisecond)
	if _, err := w.set(a, 0, "k", "2"); err != ErrDelayed {
		t.Fatalf("beyond the bound: %v", err)
	}
	w.settle("solo is declared", func() bool { return a.rep().line.solo.has(0) && a.rep().shards[0].soloOn })
	w.fill(a, 0, 1, 100)
	w.crash(a)
	w.serve(2)
	r := w.lastRow(b)
	if r.bounded.has(0) || !r.bounded.has(1) {
		t.Fatalf("bounded %b", r.bounded)
	}
	if !b.rep().line.solo.has(0) {
		// what W seats held lies at the base: nothing is exposed any more
		if b.rep().line.thin.has(0) {
			t.Fatal("thin after a clean Open")
		}
	}
	w.hush(1, 2, false)
	w.hush(1, 3, false)
	w.restart(a)
	w.finish()
}

func TestSchedule30SoloOnlyAfterItIsApplied(t *testing.T) {
	w, a, _, _ := trio(t)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.must(a, 0, "k", "1")
	for range 100 { // ticks, but no raft
		w.pass(10 * time.Millisecond)
		a.n.Tick(w.now)
		if _, err := w.set(a, 0, "k", "2"); w.now.Mono > 2*time.Second && err != ErrDelayed {
			t.Fatalf("written beyond the bound before the exposure is applied: %v", err)
		}
	}
	if a.rep().lead.proposed == nil || a.rep().lead.proposed.solo != maskOf(1) {
		t.Fatal("solo not proposed")
	}
}

func TestSchedule31SoloOffEnforcesFirst(t *testing.T) {
	w, a, _, _ := trio(t)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.must(a, 0, "k", "1")
	w.run(300 * time.Millisecond)
	w.set(a, 0, "k", "2")
	w.settle("solo", func() bool { return a.rep().shards[0].soloOn })
	w.must(a, 0, "k", "3")
	w.run(time.Second)
	if !a.rep().line.solo.has(0) {
		t.Fatal("withdrawn while the tail is over the bound")
	}
	w.hush(1, 2, false)
	w.spread()
	a.n.Tick(w.now) // proposes, and enforces at once
	if a.rep().shards[0].soloOn {
		t.Fatal("still unbounded after the withdrawal was proposed")
	}
	w.settle("solo off", func() bool { return !a.rep().line.solo.has(0) })
}

func TestSchedule32SoloOutlivesAnOpenNeverServed(t *testing.T) {
	w, a, b, c := trio(t)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.must(a, 0, "k", "1")
	w.run(300 * time.Millisecond)
	w.set(a, 0, "k", "2")
	w.settle("solo", func() bool { return a.rep().shards[0].soloOn })
	w.fill(a, 0, 1, 30)
	// A is elected again, its Open is committed, and it dies at once.
	w.serve(1)
	if !a.rep().line.solo.has(0) {
		t.Fatal("its own Open wiped the exposure out")
	}
	w.crash(a)
	w.serve(3)
	if r := w.lastRow(c); r.bounded.has(0) {
		t.Fatal("the loss of a solo holder is called bounded")
	}
	_ = b
}

func TestSchedule33UncleanIsNotForgotten(t *testing.T) {
	w, a, b, c := trio(t)
	w.fill(a, 0, 1, 5)
	w.spread()
	w.crash(b)
	w.crash(c)
	w.restart(b)
	w.restart(c)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	w.crash(a)
	w.serve(2)
	if r := w.lastRow(b); !r.clean.empty() {
		t.Fatalf("clean %b without a copy", r.clean)
	}
	if b.rep().line.thin != maskOf(2) {
		t.Fatalf("thin %b", b.rep().line.thin)
	}
	w.hush(1, 2, false)
	w.hush(1, 3, false)
	w.restart(a)
	w.finish()
	for _, x := range w.writes {
		if v, _, _ := b.rep().Verdict(0, x.v, w.now); v != VerdictLost {
			t.Fatalf("%v is %v", x.v, v)
		}
	}
	w.settle("thin is over", func() bool { return b.rep().line.thin.empty() })
}

func TestSchedule35AllRestartEmpty(t *testing.T) {
	w, a, b, c := trio(t)
	v := w.must(a, 0, "k", "1")
	w.spread()
	for _, m := range []*member{a, b, c} {
		w.crash(m)
	}
	for _, m := range []*member{a, b, c} {
		w.restart(m)
	}
	b = w.serve(2)
	w.wantRow(b, []shardmap.Version{0, 0}, 0, 3)
	if v2 := w.must(b, 0, "k", "2"); v2 <= v {
		t.Fatalf("%v after %v", v2, v)
	}
	w.finish()
}

// TestTheWaitForCopiesIsOneOfTheGroup: a leader that waits has no lease, so another one
// may lead meanwhile; it does not begin the wait anew.
func TestTheWaitForCopiesIsOneOfTheGroup(t *testing.T) {
	w, a, b, c := trio(t)
	w.must(a, 0, "k", "1")
	w.spread()
	for _, m := range []*member{a, b, c} {
		w.crash(m)
	}
	w.restart(a)
	w.restart(b) // C may have everything
	if !w.elect(b) {
		t.Fatal("B is not elected")
	}
	from, wait := w.now.Mono, b.n.cfg.EmptyWait
	w.settle("most of the wait", func() bool { return w.now.Mono-from > wait*6/10 })
	if w.holder() != nil {
		t.Fatal("B did not wait")
	}
	w.serve(1)
	if took := w.now.Mono - from; took < wait || took > wait*11/10 {
		t.Errorf("served %v after the first takeover, the wait is %v", took, wait)
	}
	w.restart(c)
	w.finish()
}

func TestSchedule36FiveSeats(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 5, 5)
	a := w.serve(1)
	w.synced(1, 2, 3, 4, 5)
	for i := 3; i <= 5; i++ {
		w.hush(1, i, true)
	}
	w.must(a, 0, "k", "1")
	w.run(300 * time.Millisecond)
	if _, err := w.set(a, 0, "k", "2"); err != ErrDelayed {
		t.Fatalf("one follower of five is no quorum: %v", err)
	}
	w.run(time.Second)
	if !a.rep().line.solo.empty() {
		t.Fatal("solo with a live seat")
	}
}

func TestSchedule37LearnerHasTheLongestTail(t *testing.T) {
	for _, answers := range []bool{true, false} {
		w := newWorld(t, 1, bigConfig(), 4, 3)
		a := w.serve(1)
		w.fill(a, 0, 1, 3)
		w.synced(1, 2, 3, 4)
		w.hush(1, 2, true)
		w.hush(1, 3, true)
		w.fill(a, 0, 4, 7)
		w.spread()
		w.crash(a)
		if !answers {
			w.cut(3, 1, false)
			w.cut(3, 2, false)
		}
		b := w.serve(2)
		want := version(1, 3)
		if answers {
			want = version(1, 7)
		}
		w.wantRow(b, []shardmap.Version{want, version(1, 0)}, 3, 0)
		if r := w.lastRow(b); !r.bounded.has(0) {
			t.Fatal("not bounded")
		}
		w.healLinks()
		w.hush(1, 2, false)
		w.hush(1, 3, false)
		w.restart(a)
		w.synced(1, 2, 3, 4)
		w.finish()
	}
}

func TestSchedule42ExpiredStaysDead(t *testing.T) {
	w, a, _, _ := trio(t)
	w.timed = true
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 100}, Async)
	w.run(500 * time.Millisecond)
	if got := w.get(a, 0, "k"); got != "-" {
		t.Fatalf("at the holder: %q", got)
	}
	w.crash(a)
	w.now.Wall -= 2000 // B's clock is behind
	b := w.serve(2)
	if got := w.get(b, 0, "k"); got != "-" {
		t.Fatalf("alive again at the next holder: %q", got)
	}
}

func TestSchedule43WallLeapWaitsForTheCeiling(t *testing.T) {
	w, a, _, _ := trio(t)
	a.n.CeilingAcked(worldGroup, w.now.Wall+800)
	a.n.Tick(w.now)
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 60_000}, Async)
	start := w.now.Wall
	w.now.Wall += 3_600_000
	w.must(a, 0, "x", "y")
	if T := a.rep().shards[0].m.Time(); T > start+800 {
		t.Fatalf("shard time leapt by %d ms", T-start)
	}
	if h := a.n.Ceiling(); h > start+3000 {
		t.Fatalf("the ceiling leapt by %d ms", h-start)
	}
	if got := w.get(a, 0, "k"); got != "v" {
		t.Fatalf("k = %q", got)
	}
}

// TestShardTimeDoesNotLeap: shard time jumps forward by little more than 1 s
// against the monotonic time since the last tick (DESIGN 5, TTL), whoever votes.
func TestShardTimeDoesNotLeap(t *testing.T) {
	w := newWorld(t, 1, bigConfig(), 1, 1)
	a := w.serve(1)
	a.n.CeilingAcked(worldGroup, a.n.Ceiling())
	w.must(a, 0, "x", "y")
	before := a.rep().shards[0].m.Time()
	w.now.Wall += 3_600_000
	a.n.Tick(w.now)
	a.n.CeilingAcked(worldGroup, a.n.Ceiling())
	w.must(a, 0, "x", "z")
	if leap := a.rep().shards[0].m.Time() - before; leap > 2000 {
		t.Fatalf("shard time leapt by %d ms", leap)
	}
}

func TestSchedule45MassExpiryWritesNothing(t *testing.T) {
	w, a, b, _ := trio(t)
	w.timed = true
	for i := range 300 {
		w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 50}, Async)
	}
	w.spread()
	head := a.rep().shards[0].m.Position()
	w.settle("both swept", func() bool {
		return a.rep().Len() == 0 && b.rep().Len() == 0
	})
	if a.rep().shards[0].m.Position() != head {
		t.Fatal("expiry wrote records")
	}
}

func TestSchedule51Wait(t *testing.T) {
	w, a, _, _ := trio(t)
	w.hush(1, 2, true)
	w.hush(1, 3, true)
	ad, _ := w.set(a, 0, "k", "v")
	if n, ok := a.rep().Holding(ad.Lease, 0, ad.Version); n != 0 || !ok {
		t.Fatalf("holding %d %v", n, ok)
	}
	o := a.rep().Await(ad.Lease, Ticket{ID: 7, Shard: 0, Version: ad.Version, Level: Seats, Need: 2}, w.now)
	if o != Waiting {
		t.Fatal(o)
	}
	w.hush(1, 2, false)
	w.spread()
	if _, due := a.due[7]; due {
		t.Fatal("due with one of two")
	}
	if n, _ := a.rep().Holding(ad.Lease, 0, ad.Version); n != 1 {
		t.Fatalf("holding %d", n)
	}
	w.depose(a)
	if a.due[7] != Unknown {
		t.Fatalf("lease lost in WAIT: %v", a.due[7])
	}
	if _, ok := a.rep().Holding(ad.Lease, 0, ad.Version); ok {
		t.Fatal("a number after the lease was lost")
	}
}

func TestSchedule53ManyRows(t *testing.T) {
	l := &lineage{shards: 1}
	base := shardmap.Version(0)
	for e := range uint32(100) {
		if !l.apply(&entry{kind: entryOpen, prevEpoch: e, base: []shardmap.Version{base}, lost: []uint64{3}, clean: maskOf(1)}) {
			t.Fatal("refused")
		}
		base = version(e+1, 5) // two writes above it are lost each time
	}
	if len(l.rows) != maxRows || l.forgotten != 36 {
		t.Fatalf("%d rows, forgotten %d", len(l.rows), l.forgotten)
	}
	for e := uint32(1); e < 100; e++ {
		lost, _ := l.judge(0, version(e, 6))
		kept, ok := l.judge(0, version(e, 5))
		if e < l.forgotten {
			if lost != VerdictUnknown || kept != VerdictUnknown {
				t.Fatalf("epoch %d: %v %v", e, lost, kept)
			}
			continue
		}
		if lost != VerdictLost || kept != 0 || !ok {
			t.Fatalf("epoch %d: %v %v %v", e, lost, kept, ok)
		}
	}
}

func TestSchedule54SequenceRunsOut(t *testing.T) {
	w, a, _, _ := trio(t)
	for _, m := range w.nodes {
		m.n.seqMax = 5
	}
	w.fill(a, 0, 1, 5)
	if _, err := w.set(a, 0, "k6", "6"); err != ErrParked {
		t.Fatalf("at the end of the sequence: %v", err)
	}
	w.settle("a new epoch", func() bool { return a.rep().line.epoch() == 2 && !a.rep().lead.parked })
	if v := w.must(a, 0, "k6", "6"); v != version(2, 1) {
		t.Fatalf("version %v", v)
	}
	w.finish()
	for _, m := range w.nodes {
		if eventSeen(m, EventOverwritten, "") {
			t.Fatal("data moved")
		}
	}
}

func TestSchedule57OldConnectionIsDropped(t *testing.T) {
	w, a, b, _ := trio(t)
	w.must(a, 0, "k", "1")
	frame := append([]byte(nil), a.n.NextData(b.id, nil, w.now)...)
	old := a.conns[b.id]
	a.reconnect(b)
	w.synced(1, 2, 3)
	pos := b.rep().shards[0].m.Position()
	w.must(a, 0, "k", "2")
	if err := b.n.OnData(a.id, old, frame, w.now); err != nil || b.rep().shards[0].m.Position() != pos {
		t.Fatalf("a frame of an old connection did something: %v", err)
	}
	w.finish()
}

func TestSchedule58HugeValue(t *testing.T) {
	cfg := bigConfig()
	cfg.BudgetBytes, cfg.RingBytes, cfg.ValueBytesMax = 64<<20, 1<<20, 16<<20
	w := newWorld(t, 1, cfg, 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	if _, err := w.set(a, 0, "big", strings.Repeat("x", 12<<20)); err != nil {
		t.Fatal(err)
	}
	w.synced(1, 2, 3)
	for _, m := range w.nodes[1:] {
		if eventSeen(m, EventOverwritten, "") {
			t.Fatal("a large value made a follower resynchronize")
		}
	}
	w.must(a, 0, "small", "y")
	w.finish()
}

func TestSchedule60AmnesiacHandsOn(t *testing.T) {
	w, a, b, c := trio(t)
	w.fill(a, 0, 1, 5)
	w.spread()
	w.crash(b)
	w.restart(b)
	w.crash(a)
	w.elect(b)
	w.settle("the amnesiac passes leadership on", func() bool { return len(w.transfers) > 0 })
	if w.transfers[0] != c.id {
		t.Fatalf("passed to %d", w.transfers[0])
	}
	w.serve(3)
	w.restart(a)
	w.finish()
}

func TestPlannedMove(t *testing.T) {
	w, a, b, _ := trio(t)
	w.fill(a, 0, 1, 5)
	r := a.rep()
	if r.Flushed(b.id) || !r.Park(w.now) {
		t.Fatal("park")
	}
	if _, err := w.set(a, 0, "k", "v"); err != ErrParked {
		t.Fatalf("parked: %v", err)
	}
	w.spread()
	if !r.Flushed(b.id) || r.Successors()[0] != b.id {
		t.Fatal("not flushed")
	}
	w.depose(a)
	w.serve(2)
	w.wantRow(b, []shardmap.Version{version(1, 5), version(1, 0)}, 3, 0)
	if !w.lastRow(b).tight {
		t.Fatal("a move is not tight")
	}
	if T := b.rep().shards[0].m.Time(); T > w.now.Wall {
		t.Fatal("the clock leapt in a move")
	}
	w.finish()
}

// TestAMoveDoesNotWaitForTheThird: the former holder says itself how far it came, so
// what a third seat might add is not waited for.
func TestAMoveDoesNotWaitForTheThird(t *testing.T) {
	w, a, b, _ := trio(t)
	w.fill(a, 0, 1, 5)
	w.spread()
	w.cut(1, 2, false)
	w.depose(a)
	before := w.now.Mono
	w.serve(2)
	if took := w.now.Mono - before; took >= b.n.cfg.Grace {
		t.Fatalf("served after %v", took)
	}
	w.wantRow(b, []shardmap.Version{version(1, 5), version(1, 0)}, 3, 0)
	w.cut(1, 2, true)
	w.finish()
}

// TestNobodyWaitsForTheBuried: a holder whose process is dead for certain cannot answer, so
// what it might add is not waited for; one that is only silent has its grace.
func TestNobodyWaitsForTheBuried(t *testing.T) {
	for _, buried := range []bool{false, true} {
		w, a, b, _ := trio(t)
		w.fill(a, 0, 1, 5)
		w.spread()
		w.crash(a)
		a.buried = buried
		before := w.now.Mono
		w.serve(2)
		if took := w.now.Mono - before; took < b.n.cfg.Grace != buried {
			t.Errorf("buried %v: served after %v, the grace is %v", buried, took, b.n.cfg.Grace)
		}
		w.wantRow(b, []shardmap.Version{version(1, 5), version(1, 0)}, 3, 0)
		a.buried = false
		w.restart(a)
		w.finish()
	}
}

func TestTheCeilingOfASuccessorAddsNothing(t *testing.T) {
	_, a, _, _ := trio(t)
	wall := a.n.wall.Load()
	raise(&a.n.timeMax, wall+800) // it began at its predecessor's ceiling
	if h := a.n.Ceiling(); h != wall+800 {
		t.Fatalf("a ceiling of %d ms above the wall clock: shard time runs ahead with each takeover", h-wall)
	}
	raise(&a.n.timeMax, wall+5000)
	if h := a.n.Ceiling(); h != wall+5000 {
		t.Fatalf("a ceiling of %d ms, below the shard time of 5000 ms in use", h-wall)
	}
}

// TestSchedule42ReadAheadOfTheTick is hole 24 by way of a reading that changed
// nothing: the former holder's word about its time must count it.
func TestSchedule42ReadAheadOfTheTick(t *testing.T) {
	w, a, _, _ := trio(t)
	w.timed = true
	w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 200}, Majority)
	w.now.Wall += 300
	if got := w.get(a, 0, "k"); got != "-" {
		t.Fatalf("at the holder: %q", got)
	}
	w.now.Wall -= 2300
	b := w.serve(2)
	if got := w.get(b, 0, "k"); got != "-" {
		t.Fatalf("alive again at the next holder: %q", got)
	}
}

// TestACopyAheadOfTheLineageInTimeIsFilled: the replica that knew the old holder's
// ceiling restarted and forgot it, so the next holder, with a slower clock, began
// below the old one's time. What the old one had swept by then is alive in the
// lineage: neither its records nor a revert bring that back (seed 1209 of the
// simulator, with a store that evicted in another order).
func TestACopyAheadOfTheLineageInTimeIsFilled(t *testing.T) {
	for name, diverged := range map[string]bool{"with records of its own": true, "with none": false} {
		t.Run(name, func(t *testing.T) {
			w, a, _, _ := trio(t)
			w.timed = true
			w.do(a, 0, &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: 2000}, Async)
			for i := range 8 { // these die after the fill, by the lineage's time
				c := &statemachine.Command{Kind: statemachine.Set, Key: fmt.Appendf(nil, "s%d", i), Value: []byte("v"), TTLMode: statemachine.TTLRelative, TTL: int64(1500 + 100*i)}
				w.do(a, 0, c, Async)
			}
			w.sweptAhead(a)
			if diverged {
				w.must(a, 0, "x", "y")
			}
			if got := w.get(a, 0, "k"); got != "-" {
				t.Fatalf("at the first holder: %q", got)
			}
			b := w.serve(2)
			w.do(b, 0, &statemachine.Command{Kind: statemachine.Persist, Key: []byte("k")}, Async)
			w.healLinks()
			w.synced(1, 2, 3)
			w.run(3 * time.Second)
			if eventSeen(a, EventNotWhole, "") || !eventSeen(a, EventOverwritten, "filling") {
				t.Fatalf("not filled in good order: %+v", a.events)
			}
			w.serve(1)
			if got := w.get(a, 0, "k"); got != "v" {
				t.Fatalf("k = %q at the copy that was filled", got)
			}
			w.finish()
		})
	}
}
