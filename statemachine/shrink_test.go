package statemachine

import (
	"fmt"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// full is a machine with as many small keys as it takes.
func full(t *testing.T, budget int64) *driver {
	d := &driver{t: t, m: New(Config{HashKey: 3, BudgetBytes: budget}), now: 1000}
	for i := 0; ; i++ {
		if res := d.do(Command{Kind: Set, Key: fmt.Appendf(nil, "k%06d", i), Value: make([]byte, 60)}); len(res.Record.Evicted) > 0 {
			return d
		}
	}
}

// evictedAtOnce is what a write of a small value may cost others when the budget fell.
const evictedAtOnce = 256

// TestALowerBudgetIsPaidInSteps: the first write after it paid for half of the shard. Now
// the limit in force goes down a little with each write, is kept after every one of them,
// and arrives.
func TestALowerBudgetIsPaidInSteps(t *testing.T) {
	const budget = 3 << 20
	d := full(t, budget)
	d.m.SetBudget(budget / 2)
	if d.m.BudgetBytes() != budget/2 || d.m.ValueBytesMax() != ValueBytesMax(budget/2) {
		t.Errorf("the budget is %d, the longest value %d", d.m.BudgetBytes(), d.m.ValueBytesMax())
	}
	limit, writes := d.m.LimitBytes(), 0
	if limit > budget {
		t.Fatalf("the limit in force is %d, above the budget before", limit)
	}
	for ; d.m.LimitBytes() > budget/2; writes++ {
		res := d.do(Command{Kind: Set, Key: fmt.Appendf(nil, "n%06d", writes), Value: make([]byte, 60)})
		if n := len(res.Record.Evicted); n > evictedAtOnce {
			t.Fatalf("write %d evicted %d entries", writes, n)
		}
		if now := d.m.LimitBytes(); now >= limit {
			t.Fatalf("write %d left the limit at %d, it was %d", writes, now, limit)
		}
		limit = d.m.LimitBytes()
		if held := d.m.HeldBytes(); held > limit {
			t.Fatalf("write %d: %d bytes held, the limit in force is %d", writes, held, limit)
		}
	}
	if d.m.HeldBytes() > budget/2 {
		t.Errorf("%d bytes held in the end", d.m.HeldBytes())
	}
	if writes > 1000 {
		t.Errorf("it took %d writes", writes)
	}
}

// TestAnIdleShardShrinksToo: by calls of Shrink, none of which evicts more than it may.
func TestAnIdleShardShrinksToo(t *testing.T) {
	const budget, most = 3 << 20, 64
	d := full(t, budget)
	d.m.SetBudget(budget / 4)
	var r Record
	for v := d.m.Position() + 1; d.m.Shrink(v, most, &r); v++ {
		if len(r.Evicted) > most {
			t.Fatalf("%d evicted at once", len(r.Evicted))
		}
		if held, limit := d.m.HeldBytes(), d.m.LimitBytes(); held > limit {
			t.Fatalf("%d bytes held, the limit in force is %d", held, limit)
		}
	}
	if d.m.HeldBytes() > budget/4 || d.m.LimitBytes() != budget/4 {
		t.Errorf("%d bytes are held in the end, the limit in force is %d", d.m.HeldBytes(), d.m.LimitBytes())
	}
}

// TestACopyThatHoldsMoreThanItsBudget was filled by an owner that has more memory. When it
// becomes the owner itself, its first write does not pay for all of that.
func TestACopyThatHoldsMoreThanItsBudget(t *testing.T) {
	const budget = 3 << 20
	d := full(t, budget)
	small := New(Config{HashKey: 3, BudgetBytes: budget / 3})
	chunk, hi := d.m.Chunk(0, 1<<30, nil)
	if err := small.ReplaceRange(0, hi, chunk); err != nil {
		t.Fatal(err)
	}
	small.SetPosition(d.m.Position())
	small.SetBudget(small.BudgetBytes())
	var res Result
	if err := small.Execute(&Command{Kind: Set, Key: []byte("k")}, shardmap.MakeVersion(2, 1), 1000, &res); err != nil {
		t.Fatal(err)
	}
	// More than others: what remembers evicted hashes, which a filled copy lacks, takes
	// about as much at first as the evicted entries leave.
	if n := len(res.Record.Evicted); n == 0 || n > 8*evictedAtOnce {
		t.Errorf("its first write evicted %d of %d", n, d.m.Len())
	}
}
