package shardgroup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// acknowledged writes a key at a level and says whether it was answered by now.
func (w *world) acknowledged(m *member, level Level) func() bool {
	w.t.Helper()
	c := &statemachine.Command{Kind: statemachine.Set, Key: []byte("k"), Value: []byte("v")}
	if _, err := w.do(m, 0, c, level); err != nil {
		w.t.Fatal(err)
	}
	x := w.writes[len(w.writes)-1]
	return func() bool { return x.maj }
}

// TestAnAckWaitsForTheLog: a majority is two logs that have it, not two memories.
func TestAnAckWaitsForTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		stall    [3]bool
		answered bool
	}{
		"all disks write":         {[3]bool{}, true},
		"one follower's stalls":   {[3]bool{false, true, false}, true},
		"the holder's stalls":     {[3]bool{true, false, false}, true}, // the backend waits for that one
		"both followers' stall":   {[3]bool{false, true, true}, false},
		"all but a follower's do": {[3]bool{true, false, true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, _, _ := trio(t)
			for i, m := range w.nodes {
				m.stalls = c.stall[i]
			}
			done := w.acknowledged(a, Majority)
			w.spread()
			w.spread()
			if done() != c.answered {
				t.Errorf("answered: %v", done())
			}
			if n, ok := a.rep().Holding(a.rep().Lease(), 0, a.rep().shards[0].m.Position()); !ok || c.stall[1] && c.stall[2] && n > 0 {
				t.Errorf("WAIT counts %d, %v", n, ok)
			}
			for _, m := range w.nodes {
				m.stalls = false
			}
			w.spread()
			if w.spread(); !done() {
				t.Error("not answered when the disks go on")
			}
		})
	}
}

// TestAHolderAloneIsAMajorityOnceItIsLogged, with one seat.
func TestAHolderAloneIsAMajorityOnceItIsLogged(t *testing.T) {
	cfg := worldConfig()
	cfg.Factor = 1
	w := newWorld(t, 1, cfg, 1, 1)
	a := w.serve(1)
	a.stalls = true
	done := w.acknowledged(a, Majority)
	if done() {
		t.Error("answered before it is logged")
	}
	a.stalls = false
	if w.commitLog(a); !done() {
		t.Error("not answered when it is logged")
	}
}

// TestACopyThatBecameAnotherSaysNothing before its log knows it: it might come back as it was.
func TestACopyThatBecameAnotherSaysNothing(t *testing.T) {
	w, a, b, _ := trio(t)
	s, f := b.rep().shards[0], a.rep().shards[0].follower(b.id)
	b.stalls = true
	s.mu.Lock()
	s.doubt("a test")
	s.mu.Unlock()
	b.n.laneTo(a.id).markAck(0, true)
	w.spread()
	if !s.barred() || s.state().logged != 0 || !f.whole {
		t.Fatalf("barred %v, states %v, whole at the holder %v", s.barred(), s.state().logged, f.whole)
	}
	w.must(a, 0, "k", "2")
	w.spread()
	if at := f.acked; at == a.rep().shards[0].m.Position() {
		t.Errorf("%v is acked", at)
	}
	b.stalls = false
	w.settle("it is filled again", func() bool { return f.whole && f.acked == a.rep().shards[0].m.Position() })
}

// TestATakeoverLogsWhatItFetched before it proposes its Open: hole 35 of the protocol.
func TestATakeoverLogsWhatItFetched(t *testing.T) {
	w, a, b, c := trio(t)
	w.cut(0, 2, false)
	v := w.must(a, 0, "k", "only at A and B")
	w.spread()
	w.crash(a)
	c.stalls = true
	if !w.elect(c) {
		t.Fatal("C is not elected")
	}
	w.run(700e6)
	s := c.rep().shards[0]
	if s.m.Position() != v || c.rep().phase() != Collecting {
		t.Fatalf("C is at %v and %v", s.m.Position(), c.rep().phase())
	}
	c.stalls = false
	w.settle("C serves", func() bool { return w.holder() == c })
	if got, _, err := c.rep().Verdict(0, v, w.now); got != VerdictDurable || err != nil {
		t.Errorf("what B and C have logged is %v, %v", got, err)
	}
	_ = b
}

// TestWhatIsOnlyInMemoryIsFetchedAndNotCounted: B has a record that its log has not. The
// new holder takes it, and does not count B for it.
func TestWhatIsOnlyInMemoryIsFetchedAndNotCounted(t *testing.T) {
	w, a, b, c := trio(t)
	w.cut(0, 2, false)
	b.stalls = true
	v := w.must(a, 0, "k", "in B's memory")
	w.spread()
	w.crash(a)
	w.serve(3)
	if row := w.lastRow(c); row.base[0] != v || row.clean != c.rep().line.all() {
		t.Fatalf("base %v, clean %b", row.base, row.clean)
	}
	verdict := func() Verdict {
		got, _, err := c.rep().Verdict(0, v, w.now)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	w.run(100e6)
	if got := verdict(); got != VerdictPending {
		t.Errorf("judged %v while one log has it", got)
	}
	b.stalls = false
	w.run(100e6)
	if got := verdict(); got != VerdictDurable {
		t.Errorf("judged %v when two logs have it", got)
	}
}

// TestAnUnloggedSourceThatIsSilentTakesNoMajorityAlong: what only its memory had was never
// acked, so an Open without it is clean; what its log had may have been.
func TestAnUnloggedSourceThatIsSilentTakesNoMajorityAlong(t *testing.T) {
	for _, logged := range []bool{false, true} {
		w, a, b, c := trio(t)
		w.cut(0, 2, false)
		b.stalls = !logged
		was := c.rep().shards[0].m.Position()
		w.must(a, 0, "k", "at A and B")
		w.spread()
		w.crash(a)
		if !w.elect(c) {
			t.Fatal("C is not elected")
		}
		w.hush(2, 3, true) // B listens and says what it has, and sends nothing of it
		w.settle("C serves", func() bool { return w.holder() == c })
		row := w.lastRow(c)
		if row.base[0] != was || row.clean.has(0) == logged {
			t.Errorf("logged at B: %v: base %v, clean %b", logged, row.base, row.clean)
		}
	}
}

// TestAHolderThatIsNotLoggedDoesNotCarry: the holder's own memory is no second copy of what
// was answered when seats change (L8).
func TestAHolderThatIsNotLoggedDoesNotCarry(t *testing.T) {
	w, a, _, _ := trio(t)
	a.stalls = true
	done := w.acknowledged(a, Majority)
	w.cut(0, 2, false)
	w.spread()
	s := a.rep().shards[0]
	next := append(a.rep().line.seats[:2:2], a.rep().line.seats[2])
	next[1].Node = 9 // who holds it leaves
	s.mu.Lock()
	s.answered = s.m.Position()
	s.mu.Unlock()
	if done() || a.rep().carries(next) {
		t.Errorf("answered %v; it is carried by a memory", done())
	}
	a.stalls = false
	w.commitLog(a)
	if at := s.logged(); at != s.m.Position() || at == shardmap.Version(0) {
		t.Errorf("logged %v", at)
	}
}

// TestALogThatIsBehindDelaysWrites: memory is not its buffer.
func TestALogThatIsBehindDelaysWrites(t *testing.T) {
	cfg := bigConfig()
	cfg.BudgetBytes, cfg.RingBytes, cfg.TailBytes = 64<<20, 128<<20, 64<<20
	w := newWorld(t, 1, cfg, 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	a.stalls = true
	value := strings.Repeat("v", 1<<20)
	for i := 0; a.wal.Backlog() <= backlogMax; i++ {
		w.must(a, 0, fmt.Sprint("k", i), value)
	}
	wakes := a.wakes
	if _, err := w.set(a, 1, "k", "v"); err != ErrDelayed {
		t.Fatalf("with %d bytes in memory: %v", a.wal.Backlog(), err)
	}
	a.stalls = false
	if w.commitLog(a); a.wakes == wakes {
		t.Error("nobody is woken when the log has caught up")
	}
	w.must(a, 1, "k", "v")
	a.n.Stalls(true)
	if a.n.Healthy(worldGroup) {
		t.Error("a node whose disk does not answer is healthy")
	}
	a.n.Stalls(false)
	if !a.n.Healthy(worldGroup) {
		t.Error("and stays so")
	}
	w.finish()
}

// TestPlusFsyncWaitsForDisks: in mode write a majority of logs is not one of disks. Who
// waits for disks has the followers sync at once, also when they had the record before.
func TestPlusFsyncWaitsForDisks(t *testing.T) {
	for _, level := range []Level{Majority, All} {
		w, a, b, c := trio(t)
		asked := map[*member]int{}
		for _, m := range []*member{a, b, c} {
			m.n.Forces(func() { asked[m]++ })
		}
		w.spread()
		r := a.rep()
		v := w.must(a, 0, "k", "v")
		w.spread() // the followers have it, and nobody has told them that somebody waits
		if _, _, err := r.Verdict(0, v, w.now); err != nil {
			t.Fatal(err)
		}
		const id = 1 << 20
		ticket := Ticket{ID: id, Shard: 0, Version: v, Level: level, Durable: true, Deadline: w.now.Mono + 10e9}
		if o := r.Await(r.Lease(), ticket, w.now); o != Waiting {
			t.Fatalf("%v before any disk has it", o)
		}
		w.spread()
		if o, told := a.due[id]; told || asked[a] == 0 || asked[b] == 0 || asked[c] == 0 {
			t.Fatalf("told %v (%v), asked %v", told, o, asked)
		}
		for i, m := range []*member{a, b, c} {
			w.syncLog(m)
			w.tellLog(m)
			w.spread()
			if o, told := a.due[id]; told != (i == 2 || i == 1 && level == Majority) || told && o != Acked {
				t.Errorf("level %d, %d disks: told %v, %v", level, i+1, told, o)
			}
		}
		if s := r.shards[0]; s.forcing || s.urgent {
			t.Error("it is still waited for")
		}
	}
}
