package statemachine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestHeldStaysWithinTheBudget: whatever is written, from nothing to a value larger
// than the whole budget, alone or in transactions, no write is refused and no call
// leaves more behind than the limit in force, which is the budget, or what was held when
// it fell and never more again; a copy that plays the records ends equal.
func TestHeldStaysWithinTheBudget(t *testing.T) {
	for _, budget := range []int64{24 << 10, 160 << 10, 900 << 10, 3 << 20} {
		t.Run(fmt.Sprint(budget>>10, " KiB"), func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, uint64(budget)))
			cfg := Config{HashKey: 3, BudgetBytes: budget}
			leader, follower := New(cfg), New(cfg)
			var res Result
			written, before := int64(0), budget
			for step := 0; written < max(8*budget, 24<<20); step++ {
				if step%7 == 0 {
					budget = max(20<<10, cfg.BudgetBytes*int64(50+r.IntN(50))/100)
					leader.SetBudget(budget)
					follower.SetBudget(budget)
				}
				n := 1 + step%3*2
				v := shardmap.MakeVersion(1, uint64(step)+1)
				if n > 1 {
					leader.Begin(v)
				}
				for range n {
					c := Command{Kind: Set, Key: fmt.Appendf(nil, "k%d", r.IntN(500)), Value: make([]byte, sizeOf(r))}
					if r.IntN(4) == 0 {
						c.TTLMode, c.TTL = TTLRelative, 1000
					}
					written += int64(len(c.Value))
					if err := leader.Execute(&c, v, 1000, &res); err != nil {
						t.Fatalf("a value of %d bytes: %v", len(c.Value), err)
					}
				}
				if n > 1 {
					leader.End(&res.Record)
				}
				if held := leader.HeldBytes(); held > leader.LimitBytes() || leader.LimitBytes() > max(budget, before) {
					t.Fatalf("step %d: %d bytes held, the limit is %d, it was %d, the budget is %d", step, held, leader.LimitBytes(), before, budget)
				}
				before = leader.LimitBytes()
				if err := follower.Apply(&res.Record, false); err != nil {
					t.Fatal(err)
				}
			}
			if leader.Digest() != follower.Digest() {
				t.Error("the copies differ")
			}
		})
	}
}

// sizeOf draws the length of a value: mostly short, up to the 1 MiB that every node takes.
func sizeOf(r *rand.Rand) int {
	n := r.IntN(1 << (4 + r.IntN(17)))
	if r.IntN(50) == 0 {
		return 1 << 20
	}
	return n
}

// TestAValueThatCannotStayCostsNothingElse: the shard does not empty itself for it.
func TestAValueThatCannotStayCostsNothingElse(t *testing.T) {
	d := &driver{t: t, m: New(Config{HashKey: 3, BudgetBytes: 256 << 10}), now: 1000}
	for i := range 100 {
		d.do(Command{Kind: Set, Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 100)})
	}
	res := d.do(Command{Kind: Set, Key: []byte("k0"), Value: make([]byte, 1<<20)})
	if d.m.Len() != 99 || len(res.Record.Evicted) != 1 || d.m.Evicted() != 1 {
		t.Errorf("%d keys are left and %d were evicted", d.m.Len(), len(res.Record.Evicted))
	}
	if _, found := d.m.Lookup([]byte("k0"), true, d.now); found {
		t.Error("the value before it is still there")
	}
}
