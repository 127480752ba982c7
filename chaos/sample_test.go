package chaos

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSecondOpinion plays histories past porcupine alone.
func TestSecondOpinion(t *testing.T) {
	for _, c := range []struct {
		name string
		fine bool
		play func(s *script)
	}{
		{"write, read, delete, read", true, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.get(1, v(1, 1), "a")
			s.del(0, v(1, 2))
			s.get(1, 0, "")
		}},
		{"a stale read", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.unjudged(1, v(1, 1), "a")
		}},
		{"a stale read under a new version", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.unjudged(1, v(1, 2), "a")
		}},
		{"an acknowledged write is lost", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.unjudged(1, 0, "")
		}},
		{"an acknowledged write is lost, and a cut says so", true, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.open(2, v(1, 1), true, true)
			s.get(1, v(1, 1), "a")
		}},
		{"a cut takes what it did not name", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.set(0, v(1, 2), "b", true)
			s.open(2, v(1, 2), true, true)
			s.unjudged(1, v(1, 1), "a")
		}},
		{"a lost write comes back", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.open(2, 0, true, true)
			s.get(1, 0, "")
			s.unjudged(1, v(1, 1), "a")
		}},
		{"an ambiguous write is read", true, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Client: 1, Kind: Set, Arg: []byte("b"), Version: v(1, 2), Found: true, Changed: true}, false)
			s.get(0, v(1, 2), "b")
		}},
		{"an ambiguous write is read, then not", false, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Client: 1, Kind: Set, Arg: []byte("b"), Version: v(1, 2), Found: true, Changed: true}, false)
			s.get(0, v(1, 2), "b")
			s.unjudged(0, v(1, 1), "a")
		}},
		{"an ambiguous write is never read", true, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Client: 1, Kind: Set, Arg: []byte("b"), Version: v(1, 2), Found: true, Changed: true}, false)
			s.set(0, v(1, 3), "c", true)
			s.get(0, v(1, 3), "c")
		}},
		{"an ambiguous delete", true, func(s *script) {
			s.set(0, v(1, 1), "a", false)
			s.run(Op{Client: 1, Kind: Del, Version: v(1, 2), Found: true, Changed: true}, false)
			s.get(0, 0, "")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript()
			s.h.Sample = NewSample(s.key)
			c.play(s)
			o := s.h.Sample.Check(s.h, 10*time.Second)
			if o.Undecided != 0 || (o.Wrong == 0) != c.fine {
				t.Fatalf("should be fine: %v; %v", c.fine, o)
			}
		})
	}
}

// busy lets eight clients work on one key at once, each operation overlapping with
// those of the others, and ends with a read of a value that is long gone.
func busy(s *script, n int, stale bool) {
	rng := rand.New(rand.NewPCG(1, 2))
	last, lastAt := "", v(1, 0)
	first := ""
	for i := range n {
		start := s.now - time.Duration(rng.IntN(8))*step
		if o := (Op{Client: i % 8, Start: max(1, start), Kind: Read}); rng.IntN(2) == 0 {
			value := string(rune('a'+i%26)) + string(rune('0'+i/26))
			o.Kind, o.Arg, o.Version, o.Found, o.Changed = Set, []byte(value), lastAt+1, last != "", true
			s.run(o, rng.IntN(10) > 0)
			if last, lastAt = value, o.Version; first == "" {
				first = value
			}
		} else if last != "" {
			o.Value, o.Version, o.Found = []byte(last), lastAt, true
			s.run(o, true)
		}
	}
	if stale {
		s.now += time.Second
		s.unjudged(0, v(1, 1), first)
	}
}

func TestSecondOpinionOnABusyKey(t *testing.T) {
	for _, stale := range []bool{false, true} {
		s := newScript()
		s.h.Sample = NewSample(s.key)
		busy(s, 600, stale)
		if o := s.h.Sample.Check(s.h, time.Minute); o.Undecided != 0 || (o.Wrong == 1) != stale {
			t.Errorf("stale read: %v; %v", stale, o)
		}
	}
}

func TestAnUndecidedSearchIsNoPass(t *testing.T) {
	s := newScript()
	s.h.Sample = NewSample(s.key)
	busy(s, 600, true)
	if o := s.h.Sample.Check(s.h, time.Nanosecond); o.Undecided != 1 || len(s.h.Broken) == 0 {
		t.Fatalf("%v, and the history tells %d violations", o, len(s.h.Broken))
	}
}

func TestASampledKeyRetires(t *testing.T) {
	s := newScript()
	s.h.Sample = NewSample(s.key)
	s.h.Sample.most = 20
	late := s.run(Op{Client: 7, Kind: Set, Arg: []byte("late"), Version: v(1, 1), Changed: true}, false)
	for range 100 {
		s.get(1, v(1, 1), "late")
	}
	late.End = s.now
	s.h.Done(late) // it began before the key retired
	if n := len(s.h.Sample.keys[s.key].ops); n != 21 {
		t.Errorf("%d operations kept", n)
	}
	if o := s.h.Sample.Check(s.h, 10*time.Second); o.Fine != 1 {
		t.Error(o)
	}
}
