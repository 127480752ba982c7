package statemachine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestAPastIsWhatWas: a walk of a full shard, between whose steps keys are written,
// deleted, evicted and die, brings what was there when it began, to the digest.
func TestAPastIsWhatWas(t *testing.T) {
	const budget, keep = 1 << 20, 64 << 10
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		d := full(t, budget)
		write := func() {
			c := Command{Kind: Set, Key: fmt.Appendf(nil, "k%06d", r.IntN(20_000)), Value: make([]byte, r.IntN(200))}
			switch r.IntN(8) {
			case 0:
				c.Kind = Del
			case 1:
				c.TTLMode, c.TTL = TTLRelative, int64(r.IntN(50))
			case 2:
				c.Kind, c.TTLMode, c.TTL = Expire, TTLRelative, int64(1+r.IntN(50))
			}
			d.do(c)
		}
		for range 2000 {
			write()
		}
		d.m.Settle()
		want, position, at := d.m.Digest(), d.m.Position(), d.m.Time()
		p := d.m.Freeze(keep)
		var b []byte
		entries := d.m.Len()
		for more, step := true, 0; more; step++ {
			for range 10 {
				write()
			}
			d.now += 3
			d.m.AdvanceTime(d.now)
			d.m.Sweep(64)
			var err error
			if b, more, err = p.Chunk(4<<10, b); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if d.m.HeldBytes() > budget || p.KeptBytes() > keep {
				t.Fatalf("seed %d: %d bytes are held and %d kept", seed, d.m.HeldBytes(), p.KeptBytes())
			}
		}
		then := New(Config{HashKey: 3, BudgetBytes: 2 * budget})
		if err := then.ReplaceRange(0, ^uint64(0), b); err != nil {
			t.Fatal(err)
		}
		if then.Digest() != want || p.Position() != position || p.Time() != at {
			t.Errorf("seed %d: the walk brought %d entries with another digest than the %d that were there", seed, then.Len(), entries)
		}
	}
}

// TestAPastEndsWithAFill: entries of before are written again, which it cannot tell apart.
func TestAPastEndsWithAFill(t *testing.T) {
	d := full(t, 1<<20)
	chunk, hi := d.m.Chunk(0, 1<<12, nil)
	p := d.m.Freeze(1 << 20)
	if err := d.m.ReplaceRange(0, hi, chunk); err != nil {
		t.Fatal(err)
	}
	if _, more, err := p.Chunk(1<<10, nil); err == nil || more {
		t.Errorf("it goes on: %v, %v", more, err)
	}
	p.End()
}
