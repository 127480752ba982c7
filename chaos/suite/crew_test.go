package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/client/clienttest"
)

// TestCrewsShareNothing: no two clients have one number, and no two crews one key, so that
// a search has eight clients of a key at most, whatever the rate.
func TestCrewsShareNothing(t *testing.T) {
	o := Options{Rate: rateMost}
	l := newLoad([]string{"127.0.0.1:1"}, 1)
	clients, keys := map[int]bool{atRest: true}, map[string]int{}
	for i := range clientsMax {
		clients[i] = true
	}
	for crew := 1; crew < o.crews(); crew++ {
		for _, w := range l.crew(crew, "majority", nil, 1) {
			if clients[w.n] {
				t.Fatalf("two clients have the number %d", w.n)
			}
			clients[w.n] = true
			name, kind := w.keys.pick()
			if kind != 'r' {
				t.Fatalf("%s is no register", name)
			}
			if was, ok := keys[name]; ok && was != crew {
				t.Fatalf("crews %d and %d use %s", was, crew, name)
			}
			keys[name] = crew
		}
	}
	if len(clients) != 64*clientsMax+1 {
		t.Errorf("%d clients at the highest rate", len(clients))
	}
	for rate, want := range map[int]int{0: 1, 100: 1, crewRate: 1, 2 * crewRate: 2, 10_000: 8} {
		if o.Rate = rate; o.crews() != want {
			t.Errorf("%d crews for %d operations a second, want %d", o.crews(), rate, want)
		}
	}
}

// TestEagerClientsWriteMore: they read one time in four, and do all that others do.
func TestEagerClientsWriteMore(t *testing.T) {
	w := newLoad([]string{"127.0.0.1:1"}, 1).crew(1, "majority", nil, 1)[0]
	kinds := map[chaos.Kind]int{}
	for range 10_000 {
		kinds[kindsOf('r', w.die())]++
	}
	if n := kinds[chaos.Read]; n < 2200 || n > 2800 || kinds[chaos.Del] == 0 {
		t.Errorf("%v", kinds)
	}
}

// TestCyclesInsteadOfADuration: who counts faults gets so many, however long they take.
func TestCyclesInsteadOfADuration(t *testing.T) {
	for _, c := range []struct {
		cycles, done int
		once, over   bool
		want         bool
	}{
		{0, 0, true, true, true},
		{0, 1, false, false, true},
		{0, 1, false, true, false},
		{0, cyclesMax, false, false, false},
		{90, cyclesMax, false, true, true},
		{90, 90, false, false, false},
		{90, 1, true, false, false},
	} {
		l := newLoad(nil, 1)
		r := &run{o: Options{Cycles: c.cycles}, sc: Scenario{Once: c.once}, l: l}
		r.gaps.Cycles = c.done
		end := l.now() + 1<<40
		if c.over {
			end = 0
		}
		if r.more(end) != c.want {
			t.Errorf("%+v", c)
		}
	}
	o := Options{Seed: 3, Nodes: 3, Ack: "majority", WAL: "off", Cycles: 30, Rate: 5200}
	if text := o.command("bridge"); !strings.Contains(text, "--cycles 30") || !strings.Contains(text, "--rate 5200") || strings.Contains(text, "--duration") {
		t.Error(text)
	}
}

// TestWhatAMajorityHoldsIsLostWithMostCopiesOnly: a scenario that never takes most copies
// of a shard at once is violated by such a loss, declared or not.
func TestWhatAMajorityHoldsIsLostWithMostCopiesOnly(t *testing.T) {
	for _, s := range Scenarios() {
		for _, durable := range []int{0, 3} {
			r := &run{sc: s, o: Options{WAL: "off"}}
			r.losses(&chaos.Judgement{Lost: 5, Durable: durable})
			got := strings.Contains(fmt.Sprint(r.broken), "P8: 3 writes")
			many := slices.Contains([]string{"kill-two", "kill-all", "restart-storm", "swizzle"}, s.Name)
			if want := durable > 0 && !many; got != want {
				t.Errorf("%s, %d durable writes lost: %v", s.Name, durable, r.broken)
			}
		}
	}
}

// TestOneLateReplyAtRestIsNoLoss: who reads all keys at rest reads one again whose reply
// did not come.
func TestOneLateReplyAtRestIsNoLoss(t *testing.T) {
	srv := clienttest.New(t)
	l := newLoad([]string{srv.Addr()}, 1)
	l.add(chaos.Told{Key: "late", Kind: chaos.Read})
	srv.Fail("late", 1, clienttest.Dropped)
	if n := l.readAll("async", 1); n != 0 {
		t.Errorf("%d keys could not be read", n)
	}
}
