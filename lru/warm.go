package lru

import "unsafe"

// WarmSteps is how many steps Warm has.
const WarmSteps = 3

// Warm asks the memory for what finding a key will touch, and does not wait for it:
// first for its bucket, in the next step for the slot that the bucket names, and then
// for the bytes that the slot names. Each step needs the answer to the one before. Who
// takes every step for a dozen keys before the next waits for memory three times, and
// not three times for each of them. Nothing is changed or answered: a key that is not
// there, or is not the first of its bucket, is looked for as if nobody had asked.
func (s *Store) Warm(hash uint64, step int) {
	b := &s.buckets[s.bucket(hash)]
	if step == 0 {
		prefetch(unsafe.Pointer(b))
		return
	}
	if *b == none {
		return
	}
	e := &s.slots[*b]
	if step == 1 {
		prefetch(unsafe.Pointer(e))
		prefetch(unsafe.Pointer(&e.hits)) // its last byte: a slot may lie across two lines
		return
	}
	if e.hash == hash {
		for at := 0; at < min(len(e.data), warmBytes); at += cacheLine {
			prefetch(unsafe.Pointer(&e.data[at]))
		}
	}
}

// Prefetch brings the cache line of what p points to near: what an owner keeps
// beside a store, by the same hash.
func Prefetch(p *uint64) { prefetch(unsafe.Pointer(p)) }

const (
	cacheLine = 64
	// warmBytes of a value are asked for: the processor notices by itself when more of
	// a long one is read.
	warmBytes = 4 * cacheLine
)
