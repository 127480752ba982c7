package shardgroup

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// stale reads a key at a follower.
func (w *world) stale(m *member, s int, key string, bound time.Duration, least ...shardmap.Version) (string, error) {
	v, ok, err := m.rep().GetStale(m.rep().first, []byte(key), nil, false, bound, append(least, 0)[0], w.now)
	if err != nil || !ok {
		return "", err
	}
	return string(v.Data), nil
}

// TestFollowersAnswerWithinTheBoundOrNotAtAll writes a counter every few milliseconds
// and asks a follower all the time, while its stream is cut and comes back: what it
// answers may lack the writes of the bound, and no older one.
func TestFollowersAnswerWithinTheBoundOrNotAtAll(t *testing.T) {
	const bound, step = 250 * time.Millisecond, 5 * time.Millisecond
	w := newWorld(t, 3, bigConfig(), 3, 3)
	a := w.serve(1)
	w.synced(1, 2, 3)
	w.run(500 * time.Millisecond)
	var wrote []time.Duration // when the value of that index was
	answers, refusals := 0, 0
	ask := func(d time.Duration) {
		t.Helper()
		for range d / step {
			if _, err := w.set(a, 0, "k", strconv.Itoa(len(wrote))); err == nil {
				wrote = append(wrote, w.now.Mono)
			}
			w.run(step)
			got, err := w.stale(w.nodes[1], 0, "k", bound)
			if err != nil {
				refusals++
				continue
			}
			answers++
			n, _ := strconv.Atoi(got)
			if n+1 < len(wrote) && wrote[n+1] < w.now.Mono-bound {
				t.Fatalf("value %d was answered %v after the next one", n, w.now.Mono-wrote[n+1])
			}
		}
	}
	ask(time.Second)
	if refusals > 40 || answers < 100 {
		t.Errorf("at rest the follower answered %d times and refused %d", answers, refusals)
	}
	for range 3 {
		answers, refusals = 0, 0
		w.hush(1, 2, true)
		ask(time.Second)
		if answers == 0 || answers > int(bound/step)+1 || refusals == 0 {
			t.Errorf("without its stream the follower answered %d times and refused %d", answers, refusals)
		}
		w.hush(1, 2, false)
		w.cut(1, 2, true)
		w.synced(1, 2, 3)
		w.run(400 * time.Millisecond)
		ask(200 * time.Millisecond)
	}
}

// TestACopyOfAnEndedLeaseIsNotFresh: a holder whose lease has run out goes on sending
// what it has, but somebody else may write by then.
func TestACopyOfAnEndedLeaseIsNotFresh(t *testing.T) {
	w := newWorld(t, 4, bigConfig(), 3, 3)
	a := w.serve(1)
	w.must(a, 0, "k", "v")
	w.synced(1, 2, 3)
	w.run(400 * time.Millisecond)
	const bound = 300 * time.Millisecond
	if got, err := w.stale(w.nodes[1], 0, "k", bound); got != "v" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := w.stale(a, 0, "k", bound); !errors.Is(err, ErrStale) {
		t.Errorf("the holder's own copy: %v", err)
	}
	a.lease.valid = false
	w.run(bound + 200*time.Millisecond)
	if got, err := w.stale(w.nodes[1], 0, "k", bound); !errors.Is(err, ErrStale) {
		t.Errorf("long after the lease: %q, %v", got, err)
	}
}

// TestATickOfBeforeAPauseMakesNothingFresh: the thread that sends to a follower reads its
// clock, is stopped for longer than the lease, and goes on when another thread has
// taken an ack that the follower sent meanwhile. The follower's copy is as old as the
// lease then, whoever writes elsewhere.
func TestATickOfBeforeAPauseMakesNothingFresh(t *testing.T) {
	const bound = 100 * time.Millisecond
	for name, stop := range map[string]func(w *world){
		"stopped":   func(w *world) { w.pass(time.Second) },
		"suspended": func(w *world) { w.now.SuspendOffset += time.Second; w.now.Age += time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 6, bigConfig(), 3, 3)
			a, b := w.serve(1), w.nodes[1]
			w.must(a, 0, "k", "v")
			w.synced(1, 2, 3)
			w.run(400 * time.Millisecond)
			if _, err := w.stale(b, 0, "k", bound+100*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			a.lease.until = w.now.Mono + 600*time.Millisecond
			w.pass(100 * time.Millisecond)
			a.n.Tick(w.now) // a Tick is due
			stopped := w.now
			stop(w)
			b.n.AckUp(a.id) // so that it has something to say
			met := w.now
			met.SuspendOffset = stopped.SuspendOffset // as who asks no kernel knows it
			if err := a.n.OnAck(b.id, b.n.NextAck(a.id, nil, w.now), met); err != nil {
				t.Fatal(err)
			}
			for range 2 { // with the reading of before, and with a new one that does not know of a suspend
				if f := a.n.NextData(b.id, nil, stopped); len(f) > 0 {
					if err := b.n.OnData(a.id, a.conns[b.id], f, w.now); err != nil {
						t.Fatal(err)
					}
				}
				stopped = met
			}
			if got, err := w.stale(b, 0, "k", bound); !errors.Is(err, ErrStale) {
				t.Errorf("%q, %v: fresher than the lease that its holder had", got, err)
			}
		})
	}
}

// TestACopyIsAskedForAVersion: what a session saw is in the copy that answers it, or the
// copy does not answer; a takeover between is no reason to refuse what survived it.
func TestACopyIsAskedForAVersion(t *testing.T) {
	const bound = time.Second
	w := newWorld(t, 5, bigConfig(), 3, 3)
	a := w.serve(1)
	v := w.must(a, 0, "k", "v")
	w.synced(1, 2, 3)
	w.run(400 * time.Millisecond)
	want := func(what string, least shardmap.Version, ok bool) {
		t.Helper()
		if got, err := w.stale(w.nodes[2], 0, "k", bound, least); (err == nil) != ok {
			t.Errorf("%s: asked for %v: %q, %v", what, least, got, err)
		}
	}
	want("a follower", v, true)
	want("a follower that lacks a write", v+1, false)
	w.depose(a)
	b := w.serve(2)
	w.must(b, 0, "other", "v")
	w.synced(1, 2, 3)
	w.run(400 * time.Millisecond)
	want("in the next epoch", v, true)
	want("in the next epoch, of a write that did not survive", v+1, false)
	want("in the next epoch, of one to come", shardmap.MakeVersion(v.Epoch()+2, 1), false)
}

// TestWhatAPositionHas is has beside all that rows can say.
func TestWhatAPositionHas(t *testing.T) {
	l := &lineage{shards: 1}
	open := func(base shardmap.Version) {
		t.Helper()
		if !l.apply(&entry{kind: entryOpen, prevEpoch: l.epoch(), base: []shardmap.Version{base}, lost: make([]uint64, 1), clean: maskOf(1)}) {
			t.Fatal("refused")
		}
	}
	open(0)
	open(version(1, 5))
	for _, c := range []struct {
		v, position shardmap.Version
		has         bool
	}{
		{0, 0, true},
		{0, version(1, 3), true},
		{version(1, 3), version(1, 3), true},
		{version(1, 4), version(1, 3), false},
		{version(1, 9), version(1, 9), true}, // cut, and the copy still has it
		{version(1, 5), version(2, 1), true},
		{version(1, 6), version(2, 1), false}, // cut
		{version(2, 1), version(1, 9), false},
		{version(1, 5), version(3, 1), false}, // the row that may cut it has not come yet
	} {
		if got := l.has(0, c.v, c.position); got != c.has {
			t.Errorf("a copy at %v has %v: %v", c.position, c.v, got)
		}
	}
}

// TestACopyThatLacksRecordsIsNotFresh: the holder has sent all that it has, a Tick says so,
// and the copy could not take it. Until the holder hears that, which may take long, the
// copy has what it had, here of a branch that is lost.
func TestACopyThatLacksRecordsIsNotFresh(t *testing.T) {
	const bound = 2 * time.Second
	for _, what := range []string{"a revert", "records"} {
		w, a, b, _ := trio(t)
		w.must(a, 0, "k", "old")
		w.spread()
		if what == "a revert" {
			w.cut(0, 1, false)
			w.cut(0, 2, false)
			w.must(a, 0, "k", "lost")
			w.serve(2)
			w.must(b, 0, "k", "new")
			w.healLinks()
			for i := 0; b.rep().shards[0].follower(1) == nil || b.rep().shards[0].follower(1).mode != modeRevert; i++ {
				if i > 100 {
					t.Fatal("node 1 never said what it changed")
				}
				w.send(b, a)
				w.deliver(b, a)
				w.send(a, b)
				w.deliver(a, b)
			}
			s := a.rep().shards[0]
			s.mu.Lock()
			s.ring.reset(s, s.m.Position()) // other shards of the node took the blocks
			s.mu.Unlock()
		} else {
			a, b = b, a
			f := b.rep().shards[0].follower(a.id)
			w.must(b, 0, "k", "lost on its way")
			f.off = b.rep().shards[0].ring.end
			w.must(b, 0, "k", "new")
		}
		wrote := w.now.Mono
		w.pass(10 * time.Millisecond)
		for i := range 60 {
			w.loses = func(m *member) bool { return m == a && i > 0 }
			b.n.AckUp(a.id) // so that there is something to echo
			a.n.AckUp(b.id)
			w.send(a, b)
			w.deliver(a, b)
			b.n.Tick(w.now)
			w.send(b, a)
			w.deliver(b, a)
			if got, err := w.stale(a, 0, "k", bound); err == nil && got != "new" && a.rep().shards[0].fresh >= wrote {
				t.Fatalf("%s: %q is called true after the next one was written", what, got)
			}
			w.pass(10 * time.Millisecond)
		}
		w.loses = nil
		a.n.AckUp(b.id)
		w.finish()
	}
}
