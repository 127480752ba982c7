package statemachine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestAWalkMissesNothing: while keys come and go and the store grows and shrinks, every
// key that is there from the first step to the last is visited exactly once, and
// nothing is that was never there.
func TestAWalkMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New(Config{HashKey: uint64(rapid.IntRange(0, 9).Draw(t, "secret")), BudgetBytes: 1 << 30})
		seq := uint64(0)
		run := func(kind Kind, key string, ttl int64) {
			seq++
			var res Result
			c := Command{Kind: kind, Key: []byte(key), TTL: ttl}
			if ttl > 0 {
				c.TTLMode = TTLRelative
			}
			if err := m.Execute(&c, shardmap.MakeVersion(1, seq), 1000, &res); err != nil {
				t.Fatal(err)
			}
		}
		stay := map[string]int{}
		for i := range rapid.IntRange(0, 600).Draw(t, "keys") {
			k := fmt.Sprint("stay", i)
			stay[k] = 0
			run(Set, k, 0)
		}
		run(Set, "dead", 5)
		ever := map[string]bool{}
		for place, steps := uint64(0), 0; ; steps++ {
			n := rapid.IntRange(1, 40).Draw(t, "step")
			next := m.Walk(place, n, 1010, func(key []byte) {
				if _, ok := stay[string(key)]; ok {
					stay[string(key)]++
				} else if !ever[string(key)] {
					t.Fatalf("%s was never there", key)
				}
			})
			if next == 0 {
				break
			}
			if next <= place || steps > 4000 {
				t.Fatalf("from %x to %x after %d steps", place, next, steps)
			}
			place = next
			for range rapid.IntRange(0, 30).Draw(t, "changes") {
				k := fmt.Sprint("other", rapid.IntRange(0, 2000).Draw(t, "other"))
				ever[k] = true
				run(rapid.SampledFrom([]Kind{Set, Set, Del}).Draw(t, "kind"), k, 0)
			}
		}
		for k, n := range stay {
			if n != 1 {
				t.Fatalf("%s was visited %d times", k, n)
			}
		}
	})
}

// BenchmarkWalk is one step of the node's size in a shard of a million keys.
func BenchmarkWalk(b *testing.B) {
	m := New(Config{HashKey: 3, BudgetBytes: 1 << 40})
	var res Result
	for i := range 1_000_000 {
		c := Command{Kind: Set, Key: fmt.Appendf(nil, "key:%d", i), Value: make([]byte, 32)}
		if err := m.Execute(&c, shardmap.MakeVersion(1, uint64(i+1)), 1, &res); err != nil {
			b.Fatal(err)
		}
	}
	var place uint64
	var buf []byte
	for b.Loop() {
		buf = buf[:0]
		place = m.Walk(place, 128, 1, func(key []byte) { buf = append(buf, key...) })
	}
}
