package lru

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Warm must be free to be called for any key at any time, and change nothing.
func TestWarmChangesNothing(t *testing.T) {
	s := New(Config{BudgetBytes: 1 << 30})
	warm := func(key []byte) {
		slot := uint64(0)
		for step := range WarmSteps {
			s.Warm(Hash(0, key), step, &slot)
		}
	}
	warm([]byte("in an empty store"))
	for i := range 5000 {
		key := fmt.Appendf(nil, "key:%d", i)
		value := make([]byte, i%1500)
		s.Set(Entry{Hash: Hash(0, key), Version: uint64(i), Key: key, Value: value})
	}
	held, victim := s.Held(), fmt.Sprint(s.Victim(0))
	for i := range 10000 { // the second half is not there
		warm(fmt.Appendf(nil, "key:%d", i))
	}
	if s.Held() != held || fmt.Sprint(s.Victim(0)) != victim {
		t.Error("the store has changed")
	}
	for i := range 5000 {
		key := fmt.Appendf(nil, "key:%d", i)
		if u, ok := s.Usage(Hash(0, key), key); !ok || u.Hits != 0 {
			t.Fatalf("%s: %v with %d hits", key, ok, u.Hits)
		}
	}
}

// BenchmarkColdGet finds keys of a store that no cache holds, one after the other and
// sixteen warmed together.
func BenchmarkColdGet(b *testing.B) {
	const keys, batch = 1 << 20, 16
	stores, pool := make([]*Store, 256), NewPool(0)
	defer pool.Close()
	for i := range stores {
		stores[i] = New(Config{BudgetBytes: 4 << 20, Pool: pool})
	}
	store := func(hash uint64) *Store { return stores[hash%uint64(len(stores))] }
	value := make([]byte, 100)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = fmt.Appendf(nil, "bench:100:%09d", i)
		h := Hash(0, names[i])
		store(h).Set(Entry{Hash: h, Version: 1, Key: names[i], Value: value})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(keys, func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, steps := range []int{0, WarmSteps} {
		b.Run(fmt.Sprintf("steps=%d", steps), func(b *testing.B) {
			out := make([]byte, 0, 200)
			var next [][]byte
			var slots [batch]uint64
			for i := range b.N {
				if i%batch == 0 {
					next, slots = names[i%keys:][:batch], [batch]uint64{}
					for step := range steps {
						for j, k := range next {
							h := Hash(0, k)
							store(h).Warm(h, step, &slots[j])
						}
					}
				}
				k := next[i%batch]
				h := Hash(0, k)
				e, ok := store(h).Get(h, k)
				if !ok {
					b.Fatal("missing")
				}
				out = append(out[:0], e.Value...)
			}
		})
	}
}
