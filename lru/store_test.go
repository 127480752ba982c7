package lru

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
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

// model is the store without its policy: a plain map.
type modelEntry struct {
	value    string
	version  uint64
	deadline int64
}

func TestStoreAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := New(Config{BudgetBytes: 1 << 30, Secret: 7}), map[string]modelEntry{}
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("k%d", rapid.IntRange(0, 40).Draw(t, "k")) })
		hash := func(k string) uint64 { return Hash(7, []byte(k)) }
		var version uint64
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k := key.Draw(t, "key")
				v := rapid.StringN(0, 60, -1).Draw(t, "value")
				d := int64(rapid.IntRange(0, 5).Draw(t, "deadline"))
				version++
				s.Set(Entry{hash(k), version, d, []byte(k), []byte(v)})
				model[k] = modelEntry{v, version, d}
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, was := model[k]
				if m, ok := s.Delete(hash(k), []byte(k)); ok != was || m.Version != model[k].version {
					t.Fatalf("delete of %s did not report %v", k, was)
				}
				delete(model, k)
			},
			"meta": func(t *rapid.T) {
				k := key.Draw(t, "key")
				m, was := model[k]
				version++
				if b, ok := s.SetMeta(hash(k), []byte(k), version, 9); ok != was || b.Deadline != m.deadline {
					t.Fatalf("SetMeta of %s did not report %v", k, was)
				}
				if was {
					model[k] = modelEntry{m.value, version, 9}
				}
			},
			"evict": func(t *rapid.T) {
				v, ok := s.Victim(0)
				if ok != (len(model) > 0) {
					t.Fatalf("victim %v with %d entries", ok, len(model))
				}
				if ok {
					k := string(v.Key)
					if _, ok := s.Evict(v.Hash, v.Version); !ok {
						t.Fatalf("victim %s could not be evicted", k)
					}
					delete(model, k)
				}
			},
			"expire": func(t *rapid.T) {
				now := int64(rapid.IntRange(1, 4).Draw(t, "now"))
				s.Expired(now, 1000, func(e Entry) {
					m := model[string(e.Key)]
					if m.deadline == 0 || m.deadline > now {
						t.Fatalf("%s with deadline %d expired at %d", e.Key, m.deadline, now)
					}
					delete(model, string(e.Key))
				})
				for k, m := range model {
					if m.deadline != 0 && m.deadline <= now {
						t.Fatalf("%s with deadline %d survived %d", k, m.deadline, now)
					}
				}
			},
			"": func(t *rapid.T) { agree(t, s, model) },
		})
	})
}

func agree(t *rapid.T, s *Store, model map[string]modelEntry) {
	if s.Len() != len(model) {
		t.Fatalf("%d entries, want %d", s.Len(), len(model))
	}
	var held, live, used int64
	seen := 0
	s.Range(0, ^uint64(0), func(e Entry) bool {
		m, ok := model[string(e.Key)]
		if !ok || m.value != string(e.Value) || m.version != e.Version || m.deadline != e.Deadline {
			t.Fatalf("%s is %+v, want %+v", e.Key, e, m)
		}
		if p, ok := s.Peek(e.Hash, e.Key); !ok || string(p.Value) != m.value {
			t.Fatalf("%s cannot be found", e.Key)
		}
		u, ok := s.Usage(e.Hash, e.Key)
		if !ok || u.Hits > maxHits {
			t.Fatalf("%s is kept as %+v", e.Key, u)
		}
		used += u.Bytes
		seen++
		live += int64(len(e.Key) + len(e.Value))
		return true
	})
	for _, q := range s.queues {
		held += q.bytes
	}
	if seen != len(model) || live != s.Live() || held+int64(4*len(s.ghost)+expiryOverhead*len(s.expiry)) != s.Held() ||
		used+int64(4*len(s.ghost)) != s.Held() {
		t.Fatalf("range saw %d of %d, live %d/%d, held %d/%d", seen, len(model), live, s.Live(), held, s.Held())
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
	s.Set(Entry{h, 1, 0, key, value})
	if n := testing.AllocsPerRun(1000, func() { s.Get(Hash(1, key), key) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Set(Entry{h, 2, 0, key, value}) }); n != 0 {
		t.Errorf("Set of an equal size allocates %v times", n)
	}
}

func BenchmarkGet(b *testing.B) {
	s := New(Config{BudgetBytes: 1 << 30, Secret: 1})
	keys := make([][]byte, 10000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%d", i)
		s.Set(Entry{Hash(1, keys[i]), 1, 0, keys[i], make([]byte, 64)})
	}
	for i := 0; b.Loop(); i++ {
		k := keys[i%len(keys)]
		s.Get(Hash(1, k), k)
	}
}
