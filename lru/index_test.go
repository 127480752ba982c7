package lru

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"testing"
	"time"
)

// A bucket that cannot be split goes on in a tree: a hundred thousand keys of one
// hash take time in proportion, and nothing of the index grows but their own lines.
func TestAHundredThousandKeysOfOneHash(t *testing.T) {
	s := New(Config{BudgetBytes: 1 << 30, Secret: 1})
	s.hash = func(key []byte) uint64 {
		if key[0] == 'x' {
			return 0x123456789abcdef0
		}
		return Hash(1, key)
	}
	const n = 100_000
	key := func(i int, kind byte) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, uint64(i)) }
	fill := func(kind byte) (time.Duration, int64) {
		held, begin := s.Held(), time.Now()
		for i := range n {
			k := key(i, kind)
			s.Set(Entry{Hash: s.hash(k), Version: uint64(i + 1), Key: k, Value: k})
		}
		for i := range n {
			k := key(i, kind)
			if e, ok := s.Get(s.hash(k), k); !ok || string(e.Value) != string(k) {
				t.Fatalf("key %d of kind %c is not found", i, kind)
			}
		}
		return time.Since(begin), s.Held() - held
	}
	plain, plainBytes := fill('p')
	groups := s.index.groups
	same, sameBytes := fill('x')
	t.Logf("%d keys: %v and %d bytes, of one hash %v and %d bytes", n, plain, plainBytes, same, sameBytes)
	// Six levels of lines instead of one, and a comparison for each key met.
	if same > 40*plain+time.Second {
		t.Errorf("keys of one hash take %v, others %v", same, plain)
	}
	if sameBytes > 2*plainBytes {
		t.Errorf("keys of one hash hold %d bytes, others %d", sameBytes, plainBytes)
	}
	if s.index.groups > groups {
		t.Errorf("keys of one hash made %d groups", s.index.groups-groups)
	}
	for i := range n {
		k := key(i, 'x')
		if _, ok := s.Delete(s.hash(k), k); !ok {
			t.Fatalf("key %d cannot be deleted", i)
		}
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
}

// However many entries there are, the index takes 12 to 15 bytes for each: it grows
// by a few buckets at a time and not by doubling.
func TestIndexIsNeverHalfEmpty(t *testing.T) {
	s := New(Config{BudgetBytes: 1 << 30, Secret: 1})
	low, high := math.Inf(1), 0.0
	const n = 400_000
	for i := range n {
		k := binary.BigEndian.AppendUint64(nil, uint64(i))
		s.Set(Entry{Hash: Hash(1, k), Version: 1, Key: k})
		if i >= 20_000 && i%500 == 0 {
			each := float64(s.index.heldBytes()) / float64(i+1)
			low, high = min(low, each), max(high, each)
		}
	}
	t.Logf("from %.1f to %.1f bytes for each entry, %d groups", low, high, s.index.groups)
	if high > 15 {
		t.Errorf("the index takes up to %.1f bytes for each entry", high)
	}
}

// Entries that come in the order of their hashes, as a copy brings them, do not crowd
// those buckets that are not yet many: hardly any has a second line beyond it, at any
// time, and the index ends no larger than another one.
func TestEntriesInTheOrderOfTheirHashes(t *testing.T) {
	for _, n := range []int{100, 1500, 30_000, 200_000} {
		s := New(Config{BudgetBytes: 1 << 30, Secret: 1})
		entries := make([]Entry, n)
		for i := range entries {
			k := binary.BigEndian.AppendUint64(nil, uint64(i))
			entries[i] = Entry{Hash: Hash(1, k), Version: uint64(i + 1), Key: k}
		}
		slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Hash, b.Hash) })
		lo := uint64(0)
		for piece := range slices.Chunk(entries, 480) {
			hi := piece[len(piece)-1].Hash
			s.Reserve(lo, hi, len(piece))
			for _, e := range piece {
				s.Set(e)
			}
			families := 0
			for _, p := range s.index.families.pieces {
				families += bits.OnesCount64(p.used)
			}
			if families > 1+n/1000 {
				t.Fatalf("%d buckets of %d entries that are filed in order go on two lines beyond them", families, n)
			}
			found := 0
			s.Range(lo, hi, func(Entry) bool { found++; return true })
			if found != len(piece) {
				t.Fatalf("%d entries of %d are in their range", found, len(piece))
			}
			lo = hi + 1
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		each := float64(s.index.heldBytes()) / float64(n)
		t.Logf("%d entries: %.1f bytes for each, %d groups", n, each, s.index.groups)
		if n >= 30_000 && each > 15 {
			t.Errorf("%d entries that were filed in order take %.1f bytes of the index each", n, each)
		}
	}
}

// What was filled and emptied again holds what it held at first.
func TestEmptiedStoreHoldsNothing(t *testing.T) {
	pool := NewPool(0)
	defer pool.Close()
	s := New(Config{BudgetBytes: 1 << 30, Secret: 1, Pool: pool})
	held, lent := s.Held(), pool.LentBytes()
	const n = 100_000
	for round := range 2 {
		for i := range n {
			k := binary.BigEndian.AppendUint64(nil, uint64(i))
			s.Set(Entry{Hash: Hash(1, k), Version: 1, Deadline: int64(round) << 40, Key: k, Value: make([]byte, i%100)})
		}
		for i := range n {
			i = i * 7919 % n
			k := binary.BigEndian.AppendUint64(nil, uint64(i))
			s.Delete(Hash(1, k), k)
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		// The tables that Go keeps beside the memory of the pool may keep their size.
		if s.Len() != 0 || s.Held() > held+64<<10 || pool.LentBytes() != lent {
			t.Errorf("round %d: %d entries, %d bytes held and %d lent, %d and %d at first", round, s.Len(), s.Held(), pool.LentBytes(), held, lent)
		}
	}
	s.Close()
	if pool.LentBytes() != 0 {
		t.Errorf("a closed store holds %d bytes", pool.LentBytes())
	}
	k := []byte("late")
	if s.Set(Entry{Hash: Hash(1, k), Version: 1, Key: k}); s.Len() != 1 || s.check() != nil || pool.LentBytes() != 0 {
		t.Errorf("a closed store has %d entries, %v", s.Len(), s.check())
	}
}
