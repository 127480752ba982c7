package lru

import "unsafe"

// WarmSteps is how many steps Warm has.
const WarmSteps = 3

// Warm asks the memory for what finding a key will touch, and does not wait for it:
// first for its bucket, in the next step for where the record that the bucket names is
// to be found, or for the line beyond the bucket, and then for the record. Each step
// needs the answer to the one before. Who takes every step for a dozen keys before the
// next waits for memory three times, and not three times for each of them. Nothing is
// changed or answered: a key that is not there is looked for as if nobody had asked.
// slot is the caller's for the steps of one key, 0 before the first. Warm says whether a
// further step is of use.
func (s *Store) Warm(hash uint64, step int, slot *uint64) (more bool) {
	if *slot != 0 {
		s.warmRecord(*slot)
		return false
	}
	hi := uint32(hash >> 32)
	g := s.index.group(hi)
	l := g.line(g.bucket(hi))
	if step == 0 {
		prefetch(unsafe.Pointer(l))
		return true
	}
	if *slot = l.tagged(hi); *slot != 0 {
		r := &s.runs[slotRun(*slot)]
		prefetch(unsafe.Pointer(r.segmentAt(r.position(slotPos(*slot)))))
		return true
	}
	if l.next() == 0 {
		return false
	}
	l = s.index.single.line(l.next())
	if step == 1 {
		prefetch(unsafe.Pointer(l))
		return true
	}
	if at := l.tagged(hi); at != 0 {
		s.warmRecord(at)
	}
	return false
}

// tagged is a slot of the line that has the tag of a hash, 0 when none has. Another key
// of the same tag, one in ten million, is warmed for nothing.
func (l *line) tagged(hi uint32) uint64 {
	tag := uint64(hi) << (64 - tagBits)
	for i := 1; i <= slotsPerLine; i++ {
		if (l[i]^tag)>>(64-tagBits) == 0 && l.used(i) {
			return l[i]
		}
	}
	return 0
}

// warmRecord asks for the first lines of a record, if they lie together.
func (s *Store) warmRecord(slot uint64) {
	r := &s.runs[slotRun(slot)]
	p, room := r.at(r.position(slotPos(slot)))
	if room < 3*lineBytes {
		prefetch(p)
		return
	}
	prefetch3(p)
}

// warmLine is warmRecord for all slots of a line.
func (s *Store) warmLine(l *line) {
	for i := 1; i <= slotsPerLine; i++ {
		if l.used(i) {
			s.warmRecord(l[i])
		}
	}
}

// Prefetch brings the cache line of what p points to near: what an owner keeps
// beside a store, by the same hash.
func Prefetch(p unsafe.Pointer) { prefetch(p) }

// PrefetchBytes brings the cache lines of b near, the one that it ends in aside.
func PrefetchBytes(b []byte) {
	for at := 0; at < len(b); at += lineBytes {
		prefetch(unsafe.Pointer(&b[at]))
	}
}
