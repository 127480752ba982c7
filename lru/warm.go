package lru

import "unsafe"

// WarmSteps is how many steps Warm has.
const WarmSteps = 3

// Warm asks the memory for what finding a key will touch, and does not wait for it:
// first for its bucket, in the next step for the record that the bucket names or for
// the line beyond the bucket, and then for a record that is named there. Each step
// needs the answer to the one before. Who takes every step for a dozen keys before the
// next waits for memory three times, and not three times for each of them. Nothing is
// changed or answered: a key that is not there is looked for as if nobody had asked.
// It says whether a further step is of use: two are enough for nearly every key.
func (s *Store) Warm(hash uint64, step int) (more bool) {
	hi := uint32(hash >> 32)
	g := s.index.group(hi)
	l := g.line(g.bucket(hi))
	if step == 0 {
		prefetch(unsafe.Pointer(l))
		return true
	}
	if s.warmRecord(l, hi) || l.next() == 0 {
		return false
	}
	l = s.index.single.line(l.next())
	if step == 1 {
		prefetch(unsafe.Pointer(l))
		return true
	}
	s.warmRecord(l, hi)
	return false
}

// warmRecord asks for the record that a slot of a line names, if one has the tag of
// the hash. Another key of the same tag, one in ten million, is warmed for nothing.
func (s *Store) warmRecord(l *line, hi uint32) bool {
	tag := uint64(hi) << (64 - tagBits)
	for i := 1; i <= slotsPerLine; i++ {
		if (l[i]^tag)>>(64-tagBits) == 0 && l.used(i) {
			r := &s.runs[slotRun(l[i])]
			p, room := r.at(r.position(slotPos(l[i])))
			for at := 0; at < min(room, warmBytes); at += lineBytes {
				prefetch(unsafe.Add(p, at))
			}
			return true
		}
	}
	return false
}

// Prefetch brings the cache line of what p points to near: what an owner keeps
// beside a store, by the same hash.
func Prefetch(p *uint64) { prefetch(unsafe.Pointer(p)) }

// PrefetchBytes brings the cache lines of b near, the one that it ends in aside.
func PrefetchBytes(b []byte) {
	for at := 0; at < len(b); at += lineBytes {
		prefetch(unsafe.Pointer(&b[at]))
	}
}

// warmBytes of a record are asked for: the processor notices by itself when more of
// a long one is read.
const warmBytes = 4 * lineBytes
