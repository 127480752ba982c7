package lru

import (
	"fmt"
	"math"
	"testing"
)

// TestBugsThatOtherCachesHad plays what the change log of another cache for Go, otter
// 2.4.0, lists as fixed, as far as a store without loaders and callbacks can have it.
// The numbers are of its pull requests.
func TestBugsThatOtherCachesHad(t *testing.T) {
	cases := map[string]func(t *testing.T, s *Store){
		"set twice at once, counted and never evicted (#189)": func(t *testing.T, s *Store) {
			for i := range 500 {
				put(s, i, 0)
				put(s, i, 0)
			}
			for s.Len() > 0 {
				e, ok := s.Victim(0)
				if _, was := s.Evict(e.Hash, e.Version); !ok || !was {
					t.Fatalf("%d entries are left and none can be evicted", s.Len())
				}
			}
			left(t, s)
		},
		"set and deleted in turn, dead weight stays (#193)": func(t *testing.T, s *Store) {
			for i := range 3000 {
				put(s, i%7, int64(i%3)<<40)
				take(s, (i+3)%7)
				put(s, (i+3)%7, 0)
			}
			for i := range 7 {
				take(s, i)
			}
			left(t, s)
		},
		"a deadline moved earlier is ignored until the old one (#209)": func(t *testing.T, s *Store) {
			put(s, 1, 1<<40)
			h, k := named(1)
			s.SetMeta(h, k, 99, 5000)
			put(s, 2, 1<<40)
			put(s, 2, 6000)
			gone(t, s, 4999)
			gone(t, s, 5000, 1)
			gone(t, s, 6000, 2)
		},
		"a deadline moved later and back (#209)": func(t *testing.T, s *Store) {
			for _, d := range []int64{5000, 1 << 40, 70_000, 1 << 35, 5000} {
				put(s, 1, d)
			}
			gone(t, s, 5000, 1)
		},
		"a deadline that has passed is filed days ahead (#196)": func(t *testing.T, s *Store) {
			put(s, 0, 1<<40)
			gone(t, s, 1<<30)
			put(s, 1, 1<<30-5_000_000)
			put(s, 2, 1<<30)
			gone(t, s, 1<<30, 1, 2)
		},
		"the longest duration overflows into the past (#204)": func(t *testing.T, s *Store) {
			put(s, 1, math.MaxInt64)
			for _, now := range []int64{0, 1 << 41, 1 << 50} {
				gone(t, s, now)
			}
		},
		"live at its exact deadline (#234)": func(t *testing.T, s *Store) {
			for i, d := range []int64{1, 15, 16, 17, 1023, 1024, 65536} {
				put(s, i, d)
				gone(t, s, d-1)
				gone(t, s, d, i)
			}
		},
		"a clock before 1970 that passes zero (#268)": func(t *testing.T, s *Store) {
			put(s, 1, 50)
			for _, now := range []int64{-1 << 40, -17, -1, 0, 49} {
				gone(t, s, now)
			}
			put(s, 2, -20)
			gone(t, s, 50, 1, 2)
		},
		"a new maximum leaves the old quotas (#260)": func(t *testing.T, s *Store) {
			most := map[int64]int{}
			for _, budget := range []int64{1 << 20, 100_000, 1 << 20, 100_000} {
				s.SetBudget(budget)
				for i := range 10_000 {
					put(s, i, 0)
					evict(s)
				}
				if n := s.Len(); s.Held() > budget || most[budget] != 0 && n < most[budget]*99/100 {
					t.Errorf("%d bytes held of %d, %d entries after %d", s.Held(), budget, n, most[budget])
				}
				most[budget] = s.Len()
			}
		},
		"over the maximum after everything was removed (#288)": func(t *testing.T, s *Store) {
			for i := range 3000 {
				put(s, i, 1<<40)
			}
			s.Clear()
			left(t, s)
			s.SetBudget(10_000)
			if s.Over() != 0 {
				t.Errorf("empty and %d over", s.Over())
			}
		},
		"a capacity that wraps to zero (#252)": func(t *testing.T, _ *Store) {
			for _, budget := range []int64{math.MaxInt64, 1 << 62, 0, -1} {
				s := New(Config{BudgetBytes: budget})
				put(s, 1, 0)
				if h, k := named(1); s.Len() != 1 {
					t.Errorf("with a budget of %d nothing is stored (%x %q)", budget, h, k)
				}
			}
		},
		"a walk skips what is replaced meanwhile (#205, #245)": func(t *testing.T, s *Store) {
			for i := range 2000 {
				put(s, i, 0)
			}
			seen := map[string]bool{}
			for step := range uint64(64) {
				s.Range(step<<58, step<<58+1<<58-1, func(e Entry) bool { seen[string(e.Key)] = true; return true })
				for i := range 2000 {
					put(s, i, int64(step%2)<<40)      // moved, with and without room for a deadline
					put(s, 10_000+100*i+int(step), 0) // the index grows as well
				}
			}
			for i := range 2000 {
				if _, k := named(i); !seen[string(k)] {
					t.Fatalf("%q was never seen", k)
				}
			}
		},
		"a copy has other deadlines and hits that nobody made (#259, #274)": func(t *testing.T, s *Store) {
			for i := range 500 {
				put(s, i, int64(i)<<20)
			}
			to := New(Config{BudgetBytes: 1 << 20})
			s.Range(0, ^uint64(0), func(e Entry) bool { to.Merge(e); return true })
			for i := range 500 {
				h, k := named(i)
				e, ok := to.Peek(h, k)
				if u, _ := to.Usage(h, k); !ok || e.Deadline != int64(i)<<20 || u.Hits != 0 {
					t.Errorf("%q: deadline %d, %d hits, %v", k, e.Deadline, u.Hits, ok)
				}
			}
		},
		"a write counts as an access (#271)": func(t *testing.T, s *Store) {
			for range 5 {
				put(s, 1, 0)
			}
			if u, _ := s.Usage(named(1)); u.Hits != 0 {
				t.Errorf("%d hits", u.Hits)
			}
		},
		"what began earlier replaces what was written meanwhile (#203)": func(t *testing.T, s *Store) {
			put(s, 1, 0)
			h, k := named(1)
			if _, _, applied := s.Merge(Entry{Hash: h, Key: k, Version: version - 1, Value: []byte("old")}); applied {
				t.Error("an older version was applied")
			}
		},
	}
	for name, play := range cases {
		t.Run(name, func(t *testing.T) {
			s := New(Config{BudgetBytes: 1 << 24})
			play(t, s)
			if err := s.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

var version uint64 // of the last entry that put wrote

func named(i int) (hash uint64, key []byte) {
	key = fmt.Appendf(nil, "key %d", i)
	return Hash(0, key), key
}

func put(s *Store, i int, deadline int64) {
	version++
	h, k := named(i)
	s.Set(Entry{Hash: h, Key: k, Version: version, Deadline: deadline, Value: make([]byte, 50)})
}

func take(s *Store, i int) {
	h, k := named(i)
	s.Delete(h, k)
}

// evict does what an owner does after a write.
func evict(s *Store) {
	for s.Over() > 0 {
		e, _ := s.Victim(0)
		s.Evict(e.Hash, e.Version)
	}
}

// gone expects that exactly these entries expire by now.
func gone(t *testing.T, s *Store, now int64, which ...int) {
	t.Helper()
	got := 0
	s.Expired(now, 1000, func(e Entry) {
		got++
		for _, i := range which {
			if _, k := named(i); string(k) == string(e.Key) {
				return
			}
		}
		t.Errorf("at %d %q of deadline %d expired", now, e.Key, e.Deadline)
	})
	if got != len(which) {
		t.Errorf("at %d %d entries expired, should %d", now, got, len(which))
	}
}

// left expects a store without entries, and without memory but what an empty one and
// its ghosts have.
func left(t *testing.T, s *Store) {
	t.Helper()
	s.Expired(1<<41, 1000, func(Entry) {})
	if held, empty := s.Held(), New(Config{BudgetBytes: 1 << 24}).Held(); s.Len() != 0 || s.Live() != 0 || held > empty+8<<10 {
		t.Errorf("%d entries and %d bytes of data left, %d held, by an empty store %d", s.Len(), s.Live(), held, empty)
	}
}
