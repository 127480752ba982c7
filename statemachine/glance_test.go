package statemachine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// driver runs commands on a machine, each under the next version.
type driver struct {
	t   *testing.T
	m   *Machine
	seq uint64
	now int64
}

func (d *driver) do(c Command) *Result {
	d.t.Helper()
	var res Result
	d.seq++
	if err := d.m.Execute(&c, shardmap.MakeVersion(1, d.seq), d.now, &res); err != nil {
		d.t.Fatal(err)
	}
	return &res
}

func (d *driver) set(key, value string) {
	d.do(Command{Kind: Set, Key: []byte(key), Value: []byte(value)})
}

func (d *driver) mayDie(key string) {
	d.do(Command{Kind: Set, Key: []byte(key), TTLMode: TTLRelative, TTL: 10})
}

// TestALookNoticesEveryChange: what touches the key, and what does not.
func TestALookNoticesEveryChange(t *testing.T) {
	key := []byte("k")
	for _, x := range []struct {
		name    string
		before  func(*driver)
		between func(*driver)
		changed bool
	}{
		{"nothing", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.m.Lookup(key, false, d.now) }, false},
		{"absent all the while", func(*driver) {}, func(d *driver) { d.do(Command{Kind: Del, Key: key}) }, false},
		{"the same value", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.set("k", "1") }, true},
		{"a deadline", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.do(Command{Kind: Expire, Key: key, TTLMode: TTLRelative, TTL: 9}) }, true},
		{"a condition that failed", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.do(Command{Kind: Set, Cond: NX, Key: key}) }, false},
		{"deleted", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.do(Command{Kind: Del, Key: key}) }, true},
		{"deleted and made again", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.do(Command{Kind: Del, Key: key}); d.set("k", "1") }, true},
		{"made", func(*driver) {}, func(d *driver) { d.set("k", "1") }, true},
		{"made and deleted", func(*driver) {}, func(d *driver) { d.set("k", "1"); d.do(Command{Kind: Del, Key: key}) }, true},
		{"made and flushed", func(*driver) {}, func(d *driver) { d.set("k", "1"); d.do(Command{Kind: Flush}) }, true},
		{"made, died and was swept", func(*driver) {}, func(d *driver) { d.mayDie("k"); d.now += 20; d.m.AdvanceTime(d.now); d.m.Settle() }, true},
		{"made and died, not swept", func(*driver) {}, func(d *driver) { d.mayDie("k"); d.now += 20 }, true},
		{"made dead", func(*driver) {}, func(d *driver) { d.do(Command{Kind: Set, Key: key, TTLMode: TTLAbsolute, TTL: 1}) }, true},
		{"dead, then swept", func(d *driver) { d.mayDie("k"); d.now += 20 }, func(d *driver) { d.m.AdvanceTime(d.now); d.m.Settle() }, false},
		{"dead, then made and deleted", func(d *driver) { d.mayDie("k"); d.now += 20 }, func(d *driver) { d.set("k", "1"); d.do(Command{Kind: Del, Key: key}) }, true},
		{"dead, then made dead", func(d *driver) { d.mayDie("k"); d.now += 20 }, func(d *driver) { d.do(Command{Kind: Set, Key: key, TTLMode: TTLAbsolute, TTL: 1}) }, true},
		{"made and evicted", func(*driver) {}, func(d *driver) {
			d.set("k", "1")
			var r Record
			d.m.SetBudget(1)
			d.m.Shrink(shardmap.MakeVersion(1, 100), 10, &r)
		}, true},
		{"died", func(d *driver) { d.mayDie("k") }, func(d *driver) { d.now += 20 }, true},
		{"dead all the while", func(d *driver) { d.mayDie("k"); d.now += 20 }, func(*driver) {}, false},
		{"absent when others are flushed", func(d *driver) { d.set("other", "1") }, func(d *driver) { d.do(Command{Kind: Flush}) }, false},
		{"dead, then flushed", func(d *driver) { d.mayDie("k"); d.now += 20 }, func(d *driver) { d.do(Command{Kind: Flush}) }, false},
		{"made and flushed with thousands", func(*driver) {}, func(d *driver) {
			for i := range 5000 {
				d.set(fmt.Sprint(i), "1")
			}
			d.set("k", "1")
			d.do(Command{Kind: Flush})
		}, true},
		{"flushed", func(d *driver) { d.set("k", "1") }, func(d *driver) { d.do(Command{Kind: Flush}) }, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := &driver{t: t, m: New(Config{HashKey: 3, BudgetBytes: 1 << 20}), now: 1000}
			x.before(d)
			was := d.m.Look(key, d.now)
			x.between(d)
			if is := d.m.Look(key, d.now); (is != was) != x.changed {
				t.Errorf("%v, then %v; want changed %v", was, is, x.changed)
			}
		})
	}
}

// TestOtherKeysSeldomLookLikeTheWatchedOne: only removals of keys that share a part of
// the hash space disturb who watches an absent key.
func TestOtherKeysSeldomLookLikeTheWatchedOne(t *testing.T) {
	d := &driver{t: t, m: New(Config{HashKey: 3, BudgetBytes: 1 << 20}), now: 1000}
	disturbed := 0
	for i := range 2560 {
		was := d.m.Look([]byte("absent"), d.now)
		k := fmt.Sprint("other", i)
		d.set(k, "1")
		d.do(Command{Kind: Del, Key: []byte(k)})
		if d.m.Look([]byte("absent"), d.now) != was {
			disturbed++
		}
	}
	if disturbed > 30 {
		t.Errorf("%d of 2560 removals of other keys were taken for this one's, want about 10", disturbed)
	}
}

// TestATransactionDoesNotGrowWithoutBound: appends to a long value are long records.
func TestATransactionDoesNotGrowWithoutBound(t *testing.T) {
	m := New(Config{HashKey: 3, BudgetBytes: 16 << 20})
	m.Begin(shardmap.MakeVersion(1, 1))
	var res Result
	if err := m.Execute(&Command{Kind: Set, Key: []byte("k"), Value: make([]byte, 3<<20)}, shardmap.MakeVersion(1, 1), 1, &res); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		err := m.Execute(&Command{Kind: Append, Key: []byte("k"), Value: []byte("x")}, shardmap.MakeVersion(1, 1), 1, &res)
		if errors.Is(err, ErrTxnTooLarge) {
			if i < 20 {
				t.Errorf("refused after %d appends", i)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("a transaction of %d bytes", len(m.txn.parts))
}
