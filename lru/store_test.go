package lru

import (
	"fmt"
	"testing"
)

func TestSipHash13MatchesPublishedVectors(t *testing.T) {
	// Key 00..0f, message 00..(n-1): vectors of the reference implementation built with 1-3 rounds.
	k0, k1 := uint64(0x0706050403020100), uint64(0x0f0e0d0c0b0a0908)
	msg := []byte{0}
	for n, want := range map[int]uint64{0: 0xabac0158050fc4dc, 1: 0xc9f49bf37d57ca93} {
		if got := sipHash13(k0, k1, msg[:n]); got != want {
			t.Errorf("SipHash-1-3 of %d bytes is %#x, want %#x", n, got, want)
		}
	}
}

func TestEvictionKeepsTheBudgetAndWhatIsHit(t *testing.T) {
	s := New(Config{BudgetBytes: 64 << 10, Secret: 1})
	version := uint64(0)
	set := func(k string) {
		h := Hash(1, []byte(k))
		version++
		s.Set(Entry{Hash: h, Version: version, Key: []byte(k), Value: make([]byte, 100)})
		for s.Over() > 0 {
			v, ok := s.Victim(version)
			if !ok || string(v.Key) == k {
				t.Fatalf("no victim beside the key just written (%v)", ok)
			}
			s.Evict(v.Hash, v.Version)
		}
	}
	set("hot")
	for i := range 20000 {
		set(fmt.Sprintf("cold%d", i))
		if i%50 == 0 {
			if _, ok := s.Get(Hash(1, []byte("hot")), []byte("hot")); !ok {
				t.Fatalf("the key read all the time was evicted after %d others", i)
			}
		}
		if s.Held() > s.Budget() {
			t.Fatalf("%d bytes held of %d", s.Held(), s.Budget())
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	s := New(Config{BudgetBytes: 1 << 20, Secret: 1})
	key, value := []byte("key"), make([]byte, 64)
	h := Hash(1, key)
	s.Set(Entry{Hash: h, Version: 1, Key: key, Value: value})
	if n := testing.AllocsPerRun(1000, func() { s.Get(Hash(1, key), key) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Set(Entry{Hash: h, Version: 2, Key: key, Value: value}) }); n != 0 {
		t.Errorf("Set of an equal size allocates %v times", n)
	}
}

func BenchmarkGet(b *testing.B) {
	s := New(Config{BudgetBytes: 1 << 30, Secret: 1})
	keys := make([][]byte, 10000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%d", i)
		s.Set(Entry{Hash: Hash(1, keys[i]), Version: 1, Key: keys[i], Value: make([]byte, 64)})
	}
	for i := 0; b.Loop(); i++ {
		k := keys[i%len(keys)]
		s.Get(Hash(1, k), k)
	}
}

// Entries that were hit go round in the protected queue before one of them is named.
// What was just written meets them there, and goes round as often as they do.
func TestJustWrittenIsNotTheVictim(t *testing.T) {
	s := New(Config{BudgetBytes: 1 << 20, Secret: 1})
	hash := func(k string) uint64 { return Hash(1, []byte(k)) }
	set := func(k string, version uint64, bytes int) {
		s.Set(Entry{Hash: hash(k), Version: version, Key: []byte(k), Value: make([]byte, bytes)})
	}
	for i := range 100 { // as many as there are, so many evicted ones are remembered
		set(fmt.Sprint(i), 99, 10)
	}
	for i, k := range []string{"a", "b", "c", "new"} {
		set(k, uint64(i+1), 10)
		s.Evict(hash(k), uint64(i+1))
	}
	for i := range 100 {
		s.DeleteVersion(hash(fmt.Sprint(i)), 99)
	}
	for i, k := range []string{"a", "b", "c"} { // in the protected queue at once
		set(k, uint64(i+10), 10)
		for range maxHits {
			s.Get(hash(k), []byte(k))
		}
	}
	set("new", 20, 500)
	if v, ok := s.Victim(20); !ok || v.Version == 20 {
		t.Fatalf("the victim is %q of version %d", v.Key, v.Version)
	}
}

// What a store needs for itself is felt where it is small: this many entries of 16 and
// 1,024 bytes are in a budget of so many, each with 45 bytes beside them, after many
// more went through it.
func TestSmallStoresAreNotFilledByTheirOwnTables(t *testing.T) {
	for _, c := range []struct{ entries, least int }{{61, 55}, {99, 92}, {146, 136}, {285, 276}} {
		s := New(Config{BudgetBytes: int64(c.entries) * (16 + 1024 + 45), Secret: 1})
		value := make([]byte, 1024)
		for i := range 60 * c.entries {
			key := fmt.Appendf(nil, "key:%012d", i)
			s.Set(Entry{Hash: Hash(1, key), Version: uint64(i + 1), Key: key, Value: value})
			if back := i - c.entries/2; back >= 0 && i%2 == 0 { // half are evicted, remembered, and protected
				key = fmt.Appendf(nil, "key:%012d", back)
				s.Set(Entry{Hash: Hash(1, key), Version: uint64(i + 1), Key: key, Value: value})
			}
			for s.Over() > 0 {
				e, _ := s.Victim(uint64(i + 1))
				s.Evict(e.Hash, e.Version)
			}
		}
		if s.Len() < c.least {
			t.Errorf("a budget of %d entries holds %d, and should at least %d", c.entries, s.Len(), c.least)
		}
	}
}

// TestWhatWasJustWrittenStaysInEveryPolicy: in SLRU what leaves the protected queue goes to
// the end of probation, behind entries that were passed over already, and one of those was
// named instead of it.
func TestWhatWasJustWrittenStaysInEveryPolicy(t *testing.T) {
	for _, policy := range []Policy{Segmented, LRU, SLRU} {
		s := New(Config{BudgetBytes: 1 << 20, Secret: 7, Policy: policy})
		set := func(key string, version uint64) {
			s.Set(Entry{Hash: Hash(7, []byte(key)), Version: version, Key: []byte(key)})
		}
		set("a", 1)
		s.Get(Hash(7, []byte("a")), []byte("a"))
		for _, key := range []string{"b", "c", "d"} {
			set(key, 9)
		}
		if e, ok := s.Victim(9); !ok || string(e.Key) != "a" {
			t.Errorf("policy %v names %q of version %d", policy, e.Key, e.Version)
		}
	}
}
