package statemachine

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// told is a Watcher that notes what it hears of.
type told struct {
	keys map[string]uint64 // origin of the last change
	all  bool
}

func (w *told) Changed(key []byte, origin uint64) { w.keys[string(key)] = origin }
func (w *told) Flushed(uint64)                    { w.all = true }

type image struct {
	version  shardmap.Version
	deadline int64
}

func imageOf(m *Machine) map[string]image {
	is := make(map[string]image)
	m.EachKey(func(k, _ []byte, v shardmap.Version, d int64) { is[string(k)] = image{v, d} })
	return is
}

// TestEveryChangeIsTold runs random commands, in transactions and alone, at a leader
// and by records at a follower, with expiry and eviction, and compares what changed
// with what was told.
func TestEveryChangeIsTold(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	leader, follower := New(Config{HashKey: 7, BudgetBytes: 16 << 10}), New(Config{HashKey: 7, BudgetBytes: 16 << 10})
	byLeader, byFollower := &told{}, &told{}
	leader.Watch(byLeader)
	follower.Watch(byFollower)
	now, res, swept, evicted := int64(1000), Result{}, 0, 0
	kinds := []Kind{Set, Set, Set, Set, Set, Del, GetDel, GetEx, Append, IncrBy, Expire, Persist, Set, Set, Set, Set}
	for step := 1; step < 6000; step++ {
		now += rnd.Int63n(50)
		hear := func(w *told) { w.keys, w.all = make(map[string]uint64), false }
		hear(byLeader)
		hear(byFollower)
		was, wasThere := imageOf(leader), imageOf(follower)
		v, changed := shardmap.MakeVersion(1, uint64(step)), false
		origin := uint64(rnd.Intn(3))
		command := func() {
			c := Command{
				Kind: kinds[rnd.Intn(len(kinds))], Key: fmt.Appendf(nil, "k%d", rnd.Intn(120)), Value: make([]byte, rnd.Intn(300)),
				TTLMode: TTLMode(rnd.Intn(3)), TTL: rnd.Int63n(4000), Delta: 1, Origin: origin,
			}
			if rnd.Intn(300) == 0 {
				c.Kind = Flush
			}
			if leader.txn.open && c.Kind == Flush {
				c.Kind = Del // not in transactions
			}
			_ = leader.Execute(&c, v, now, &res)
			changed = changed || res.Changed
		}
		rec := &res.Record
		switch rnd.Intn(4) {
		case 0:
			leader.Begin(v)
			for range 3 {
				command()
			}
			rec = &Record{}
			changed = leader.End(rec)
		case 1:
			leader.AdvanceTime(now)
			leader.Sweep(8)
			follower.AdvanceTime(leader.Time())
			follower.Sweep(8)
			swept += len(byLeader.keys)
		default:
			command()
		}
		if changed {
			evicted += len(rec.Evicted)
			if err := follower.Apply(rec, false); err != nil {
				t.Fatal(err)
			}
		}
		missed(t, step, was, imageOf(leader), byLeader)
		missed(t, step, wasThere, imageOf(follower), byFollower)
		for k, by := range byLeader.keys {
			if _, there := imageOf(leader)[k]; there && by != origin {
				t.Fatalf("step %d: %s was written by %d, but %d was told", step, k, origin, by)
			}
		}
	}
	if swept < 100 || evicted < 100 {
		t.Errorf("only %d keys expired and %d were evicted", swept, evicted)
	}
}

func missed(t *testing.T, step int, was, is map[string]image, w *told) {
	t.Helper()
	if w.all {
		return
	}
	for k, old := range was {
		if _, heard := w.keys[k]; is[k] != old && !heard {
			t.Fatalf("step %d: %s went from %v to %v untold", step, k, old, is[k])
		}
	}
	for k := range is {
		if _, heard := w.keys[k]; was[k] != is[k] && !heard {
			t.Fatalf("step %d: %s came untold", step, k)
		}
	}
}
