package lru

import (
	"bytes"
	"errors"
	"math/bits"
	"unsafe"
)

// Frozen is a walk of a store as it was at one moment, in steps, between which the store
// changes. Whatever is about to change an entry that the walk has not come to hands it to
// the walk first.
//
// An entry is handed over once, without a mark of its own: changes after that moment have
// higher versions than the entries of before. (To hand over whole buckets was the other
// way: marks in the index that survive its growth, and thirty entries for one.) So the
// walk cannot go on when a lower version is written, as a fill and a revert do.
type Frozen struct {
	s       *Store
	version uint64  // the highest of that moment
	next    uint64  // the first hash that was not visited
	kept    []Entry // which were changed before they were visited
	held    int64   // bytes of kept
	most    int64
	err     error // why it ended early
}

// Errors of Step.
var (
	ErrFrozenOverrun = errors.New("lru: more changed between two steps of a walk than it may keep")
	ErrFrozenRewrote = errors.New("lru: entries of the past were written during a walk of it")
)

// Freeze begins a walk of what the store holds now, whose versions are not above version.
// It may keep at most keepBytesMax of what changes between two steps. That is the owner's
// to count and not part of Held: an entry that is evicted for it would be kept, and
// take more than it left. A store has one such walk; the one before ends.
func (s *Store) Freeze(version uint64, keepBytesMax int64) *Frozen {
	s.thaw(ErrFrozenRewrote)
	s.frozen = &Frozen{s: s, version: version, most: keepBytesMax}
	return s.frozen
}

// Step visits what changed since the step before or, when nothing did, about n entries
// more; in both cases as many as bytesMax keys and values take, and one hash at least. The
// entries are valid until the next call of the store. more is false when all were visited;
// an error says that the walk is worth nothing.
func (f *Frozen) Step(n int, bytesMax int64, yield func(Entry)) (more bool, err error) {
	switch {
	case f.s == nil:
		return false, f.err
	case len(f.kept) > 0:
		f.give(bytesMax, yield)
		return true, nil
	}
	last := f.last(n, bytesMax)
	f.s.Range(f.next, last, func(e Entry) bool {
		if e.Version <= f.version {
			yield(e)
		}
		return true
	})
	if f.next = last + 1; f.next == 0 {
		f.s.thaw(nil)
	}
	return f.s != nil, nil
}

// give hands kept entries over, which are the walk's no more.
func (f *Frozen) give(bytesMax int64, yield func(Entry)) {
	for first := true; len(f.kept) > 0; first = false {
		e := f.kept[len(f.kept)-1]
		size := int64(len(e.Key) + len(e.Value))
		if bytesMax -= size; bytesMax < 0 && !first {
			return
		}
		yield(e)
		f.kept[len(f.kept)-1] = Entry{}
		f.kept = f.kept[:len(f.kept)-1]
		f.held -= keptEntryBytes + size
	}
	f.kept = nil
}

// last is the end of the hash range that is visited next.
func (f *Frozen) last(n int, bytesMax int64) uint64 {
	for stride := f.s.stride(n); ; stride /= 2 {
		last, size := f.next|(stride-1), int64(0)
		f.s.Range(f.next, last, func(e Entry) bool {
			size += int64(len(e.Key) + len(e.Value))
			return size <= bytesMax
		})
		if size <= bytesMax || stride == 1 {
			return last
		}
	}
}

// KeptBytes is what the walk keeps now.
func (f *Frozen) KeptBytes() int64 { return f.held }

// Ended says that all was visited, or that the walk cannot go on.
func (f *Frozen) Ended() bool { return f.s == nil }

// End gives the walk up.
func (f *Frozen) End() {
	if f.s != nil {
		f.s.thaw(ErrFrozenRewrote)
	}
}

// stride is the width, a power of two, of a hash range that holds about n entries.
func (s *Store) stride(n int) uint64 {
	return 1 << (63 - min(40, bits.Len64(uint64(s.count/max(1, n)))))
}

// thaw ends the walk that is under way.
func (s *Store) thaw(err error) {
	if f := s.frozen; f != nil {
		f.kept, f.held, f.s, f.err = nil, 0, nil, err
		s.frozen = nil
	}
}

// keptEntryBytes is what an entry takes in kept, beside key and value: slices grow by a
// quarter ahead, and what is allocated is rounded up.
const keptEntryBytes = int64(unsafe.Sizeof(Entry{}))*5/4 + 32

// preserve hands an entry to the walk that is about to be changed or removed.
func (s *Store) preserve(hash uint64, rec record) {
	f := s.frozen
	if f == nil || hash < f.next || rec.version() > f.version {
		return
	}
	e := s.entryOf(hash, rec)
	e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
	f.kept = append(f.kept, e)
	f.held += keptEntryBytes + int64(len(e.Key)+len(e.Value))
	if f.held > f.most {
		s.thaw(ErrFrozenOverrun)
	}
}

// written tells the walk that a version is written.
func (s *Store) written(hash, version uint64) {
	if f := s.frozen; f != nil && hash >= f.next && version <= f.version {
		s.thaw(ErrFrozenRewrote)
	}
}
