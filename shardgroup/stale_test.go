package shardgroup

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

// stale reads a key at a follower.
func (w *world) stale(m *member, s int, key string, bound time.Duration) (string, error) {
	v, ok, err := m.rep().GetStale(m.rep().first, []byte(key), nil, bound, w.now)
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
