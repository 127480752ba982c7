package shardgroup

import "testing"

func (w *world) watch(m *member, key string) Glance {
	w.t.Helper()
	seen, _, err := m.rep().Look(shardID(0), []byte(key), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return seen
}

// TestAWatchEndsWithItsLease: the same holder may come back to the same key at the same
// version, but somebody else may have served it in between and lost what it wrote.
func TestAWatchEndsWithItsLease(t *testing.T) {
	w, a, _, _ := trio(t)
	w.must(a, 0, "x", "1")
	w.spread()
	present, absent := w.watch(a, "x"), w.watch(a, "none")
	if again := w.watch(a, "x"); again != present {
		t.Errorf("%v, then %v with nothing in between", present, again)
	}
	w.serve(2)
	w.synced(1, 2, 3)
	w.serve(1)
	w.synced(1, 2, 3)
	if again := w.watch(a, "x"); again.Version != present.Version || again == present {
		t.Errorf("%v, then %v after another lease", present, again)
	}
	if again := w.watch(a, "none"); again == absent {
		t.Errorf("%v of an absent key under two leases", again)
	}
	w.finish()
}

func TestWatchIsForTheHolder(t *testing.T) {
	w, _, b, _ := trio(t)
	if _, _, err := b.rep().Look(shardID(0), []byte("x"), w.now); err == nil {
		t.Error("a follower answered")
	}
}
