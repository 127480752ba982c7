package shardgroup

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// TestSchedule38PowerCutAfterAMajority: A and B answer a majority write while C is away, and
// go down at once. What came back counts if the log of that mode survives such a crash;
// otherwise it is what there is, and the Open says that it may not be all.
func TestSchedule38PowerCutAfterAMajority(t *testing.T) {
	for name, c := range map[string]struct {
		mode          wal.Mode
		power, counts bool
	}{
		"fsync, power cut": {wal.Fsync, true, true},
		"fsync, killed":    {wal.Fsync, false, true},
		"write, killed":    {wal.Write, false, true},
		"write, power cut": {wal.Write, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, bigConfig(), 3, 3)
			for _, m := range w.nodes {
				m.mode = c.mode
				w.crash(m) // for its log to begin in the mode
				w.restart(m)
			}
			a, b := w.serve(1), w.nodes[1]
			w.synced(1, 2, 3)
			low := w.must(a, 0, "k", "on the disks")
			w.spread()
			w.syncLog(a)
			w.syncLog(b)
			was := map[*member]multiraft.Incarnation{a: a.inc, b: b.inc}
			w.cut(0, 2, false)
			w.cut(1, 2, false)
			done := w.acknowledged(a, Majority)
			v := a.rep().shards[0].m.Position()
			if w.spread(); !done() {
				t.Fatal("not answered by A and B")
			}
			for m := range was {
				if c.power {
					m.cutPower()
				} else {
					m.after = m.disk.Kill(w.r)
				}
				w.crash(m)
			}
			w.restart(a)
			w.restart(b)
			for m, inc := range was {
				if (m.inc == inc) != c.counts || m.proc == inc {
					t.Errorf("node %d: data %v, process %v, was %v", m.id, m.inc, m.proc, inc)
				}
			}
			w.serve(2)
			row := w.lastRow(b)
			if row.clean.has(0) != c.counts || c.counts && row.base[0] != v || row.hole.has(0) || row.base[0] < low {
				t.Errorf("base %v of %v, clean %b, hole %b", row.base, v, row.clean, row.hole)
			}
			w.healLinks()
			w.synced(1, 2, 3)
			w.finish()
		})
	}
}

// TestARestartedHolderIsNotTheWholeWord: its followers' disks were faster than its own. What
// comes back at the holder is not all that was written in its epoch.
func TestARestartedHolderIsNotTheWholeWord(t *testing.T) {
	w, a, _, _ := trio(t)
	for _, m := range w.nodes {
		m.after = m.disk.Kill(w.r)
		w.crash(m)
		w.restart(m)
	}
	w.serve(1)
	w.synced(1, 2, 3)
	a.stalls = true
	v := w.must(a, 0, "k", "logged by B and C")
	w.spread()
	if got, _, err := a.rep().Verdict(0, v, w.now); got != VerdictDurable || err != nil {
		t.Fatalf("judged %v, %v", got, err)
	}
	inc := a.inc
	a.after = a.disk.Kill(w.r)
	a.stalls = false
	w.crash(a)
	w.restart(a)
	if a.inc != inc || a.rep().shards[0].m.Position() >= v {
		t.Fatalf("A is back as %v at %v", a.inc, a.rep().shards[0].m.Position())
	}
	w.serve(1)
	row := w.lastRow(a)
	if row.base[0] != v || row.tight || row.clean != a.rep().line.all() {
		t.Errorf("base %v of %v, tight %v, clean %b", row.base, v, row.tight, row.clean)
	}
	w.finish()
}

// TestARestartedCopyListensToNobodyOfThePast: neither to a term below the one on its disk,
// nor to an epoch below what it holds.
func TestARestartedCopyListensToNobodyOfThePast(t *testing.T) {
	w, a, _, c := trio(t)
	w.depose(a)
	b := w.serve(2)
	w.synced(1, 2, 3)
	c.after = c.disk.Kill(w.r)
	w.crash(c)
	w.restart(c)
	r := c.rep()
	if r.newest() != 2 || r.promised.Term != b.lead.ballot.Term || !r.shards[0].whole {
		t.Fatalf("epoch %d, promised %v", r.newest(), r.promised)
	}
	for what, h := range map[string]hello{
		"of a lower term":    {ballot: multiraft.Ballot{Term: 1, Sub: 9}, epoch: 9},
		"of an older epoch":  {ballot: multiraft.Ballot{Term: 9, Sub: 1}, epoch: 1},
		"of the term itself": {ballot: b.lead.ballot, epoch: 2},
	} {
		h.group, h.to, h.sess = worldGroup, uint64(c.id), 77
		r.shards[0].in = inSession{}
		c.n.onHello(c.n.laneTo(a.id), 1, &h, w.now)
		if listens := r.shards[0].in.sess == 77; listens != (what == "of the term itself") {
			t.Errorf("a Hello %s: listens %v", what, listens)
		}
	}
	w.restarted(c)
	w.finish()
}

// restarted ends what a test did to a member behind the world's back.
func (w *world) restarted(m *member) {
	w.crash(m)
	w.restart(m)
}

// TestABlankCopyThatIsNotIntactIsNothing: a copy at position 0 in a log that may have lost
// its records is no copy at 0 (hole 19); in one that has all it is.
func TestABlankCopyThatIsNotIntactIsNothing(t *testing.T) {
	for _, power := range []bool{false, true} {
		w := newWorld(t, 1, worldConfig(), 3, 3)
		m := w.nodes[0]
		w.commitLog(m)
		w.syncLog(m)
		if m.after = m.disk.Kill(w.r); power {
			m.cutPower()
		}
		w.crash(m)
		w.restart(m)
		s := m.rep().shards[0]
		if s.m.Position() != 0 || s.whole == power {
			t.Errorf("power cut %v: %s", power, standing(s))
		}
		if power {
			w.checkLog(m) // and it does not come back as one later
		}
	}
}

// TestShardTimeAfterARestartOfAll: no holder begins below what any copy of its node has seen.
func TestShardTimeAfterARestartOfAll(t *testing.T) {
	w, a, _, _ := trio(t)
	w.timed = true
	ahead := w.now
	ahead.Wall += 9000
	a.rep().shards[1].pass(ahead)
	w.must(a, 1, "k", "v") // of the other shard
	w.spread()
	want := a.rep().shards[1].m.Time()
	for _, m := range w.nodes {
		m.after = m.disk.Kill(w.r)
		w.crash(m)
	}
	for _, m := range w.nodes {
		w.restart(m)
	}
	w.serve(1)
	if got := a.rep().shards[0].m.Time(); got < want {
		t.Errorf("shard 0 begins at %d, shard 1 was at %d", got, want)
	}
	if a.rep().shards[1].m.Position() == 0 {
		t.Error("nothing came back")
	}
}

// TestARestartOfAllWaitsForTheSlowestLog: two copies are enough for a clean Open, and the
// third, whose log takes longer, has what only the holder had. If it never comes, the wait
// ends; and there is none as long as somebody lived through it.
func TestARestartOfAllWaitsForTheSlowestLog(t *testing.T) {
	for name, c := range map[string]struct {
		survivor bool
		after    time.Duration // until the slowest is there, 0 = never
	}{
		"20 s longer": {false, 20 * time.Second},
		"never":       {false, 0},
		"one lived":   {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := bigConfig()
			cfg.LogWait = 30 * time.Second
			w := newWorld(t, 1, cfg, 3, 3)
			a, b := w.nodes[0], w.nodes[1]
			w.serve(1)
			w.synced(1, 2, 3)
			low := a.rep().shards[0].m.Position()
			w.cut(0, 1, false)
			w.cut(0, 2, false)
			v := w.must(a, 0, "k", "only at A")
			for _, m := range w.nodes {
				if c.survivor && m == b {
					continue
				}
				m.after = m.disk.Kill(w.r)
				w.crash(m)
			}
			w.healLinks()
			w.restart(b)
			w.restart(w.nodes[2])
			if !w.elect(b) {
				t.Fatal("B is not elected")
			}
			from := w.now.Mono
			if c.after > 0 {
				w.run(c.after)
				if b.rep().phase() != Collecting {
					t.Fatalf("B is %v while A reads its log", b.rep().phase())
				}
				w.restart(a)
			}
			if !c.survivor && c.after == 0 {
				w.run(25 * time.Second)
			}
			w.settle("B serves", func() bool { return w.holder() == b })
			took, row := w.now.Mono-from, w.lastRow(b)
			if (row.base[0] == v) != (c.after > 0) || row.base[0] < low || !row.clean.has(0) {
				t.Errorf("base %v, only at A %v, clean %b", row.base, v, row.clean)
			}
			if c.survivor != (took < time.Second) || took > 31*time.Second {
				t.Errorf("after %v", took)
			}
			if !a.up {
				w.restart(a)
			}
			w.finish()
		})
	}
}
