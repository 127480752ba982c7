package lru

import (
	"errors"
	"fmt"
	"testing"
)

// past is a store of n entries with the versions 1 to n.
func past(n int) (s *Store, put func(i int, version uint64)) {
	s = New(Config{BudgetBytes: 64 << 20, Secret: 7})
	put = func(i int, version uint64) {
		k := fmt.Appendf(nil, "k%05d", i)
		s.Set(Entry{Hash: Hash(7, k), Version: version, Key: k, Value: make([]byte, 50)})
	}
	for i := range n {
		put(i, uint64(i+1))
	}
	return s, put
}

// TestAWalkOfThePastIsBounded: a step looks at about as many entries as it was told to,
// and the bytes that are kept are counted, and few.
func TestAWalkOfThePastIsBounded(t *testing.T) {
	const n, step, keep = 20_000, 100, 1 << 20
	s, put := past(n)
	f := s.Freeze(n, keep)
	brought, version := 0, uint64(n)
	for more := true; more; {
		for range 50 {
			version++
			put(int(version*7919)%n, version)
		}
		counted := int64(0)
		for _, e := range f.kept {
			counted += keptEntryBytes + int64(cap(e.Key)+cap(e.Value))
		}
		if kept := f.KeptBytes(); kept > keep || kept < counted*9/10 || kept > 50*(keptEntryBytes+60) {
			t.Fatalf("%d bytes are kept of %d, %d wanted", kept, keep, counted)
		}
		seen, err := 0, error(nil)
		if more, err = f.Step(step, 1<<20, func(e Entry) {
			if e.Version > n {
				t.Fatalf("version %d was not there yet", e.Version)
			}
			seen++
		}); err != nil {
			t.Fatal(err)
		}
		if seen > 4*step {
			t.Fatalf("a step of %d brought %d entries", step, seen)
		}
		brought += seen
	}
	if brought != n {
		t.Errorf("the walk brought %d of %d entries", brought, n)
	}
	if s.frozen != nil || f.KeptBytes() != 0 {
		t.Errorf("%d bytes are kept after the walk", f.KeptBytes())
	}
}

// TestAWalkOfThePastThatCannotGoOn says why, and holds nothing any more.
func TestAWalkOfThePastThatCannotGoOn(t *testing.T) {
	for name, x := range map[string]struct {
		spoil func(s *Store, put func(int, uint64))
		want  error
	}{
		"too much changed":     {func(_ *Store, put func(int, uint64)) { changeAll(put) }, ErrFrozenOverrun},
		"an older version":     {func(_ *Store, put func(int, uint64)) { put(3, 4) }, ErrFrozenRewrote},
		"an older new entry":   {func(_ *Store, put func(int, uint64)) { put(300_000, 4) }, ErrFrozenRewrote},
		"all is removed":       {func(s *Store, _ func(int, uint64)) { s.Clear() }, ErrFrozenRewrote},
		"another walk began":   {func(s *Store, _ func(int, uint64)) { s.Freeze(1000, 10) }, ErrFrozenRewrote},
		"nothing stood in way": {func(*Store, func(int, uint64)) {}, nil},
	} {
		s, put := past(1000)
		f := s.Freeze(1000, 10_000)
		x.spoil(s, put)
		more, err := f.Step(2000, 1<<20, func(Entry) {})
		if !errors.Is(err, x.want) || x.want != nil && more {
			t.Errorf("%s: %v, more %v; want %v", name, err, more, x.want)
		}
		if len(f.kept) > 0 {
			t.Errorf("%s: %d entries are kept", name, len(f.kept))
		}
		f.End()
		f.End() // once more is nothing
	}
}

func changeAll(put func(int, uint64)) {
	for i := range 1000 {
		put(i, uint64(2000+i))
	}
}

// TestAStepOfThePastIsBoundedInBytes: large values among small ones, some of them kept.
func TestAStepOfThePastIsBoundedInBytes(t *testing.T) {
	const n, most = 4000, 20_000
	s, put := past(n)
	long := func(i int, version uint64) {
		k := fmt.Appendf(nil, "long%d", i)
		s.Set(Entry{Hash: Hash(7, k), Version: version, Key: k, Value: make([]byte, most*3/4)})
	}
	for i := range 200 {
		long(i, n+1)
	}
	f := s.Freeze(n+1, 64<<20)
	for i := range 100 {
		long(i, uint64(n+2+i))
		put(i, uint64(n+200+i))
	}
	brought := 0
	for more := true; more; {
		size, seen, err := 0, 0, error(nil)
		if more, err = f.Step(1000, most, func(e Entry) {
			size += len(e.Key) + len(e.Value)
			seen++
		}); err != nil {
			t.Fatal(err)
		}
		if brought += seen; size > most {
			t.Fatalf("a step brought %d bytes in %d entries, %d are the most", size, seen, most)
		}
	}
	if brought != n+200 {
		t.Errorf("%d of %d entries", brought, n+200)
	}
}
