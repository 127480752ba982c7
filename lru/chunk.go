package lru

import "math/bits"

// chunk is chunkBytes of memory cut into units.
type chunk struct {
	mem   []byte
	shelf *shelf
	used  []uint64 // a bit per unit
	cold  []uint64 // free units that are not resident
	n     int      // units in use
	idle  int      // bytes that could be given back
	seats [seats]seat
}

// units is how many units the chunk is cut into.
func (c *chunk) units() int { return chunkBytes / c.shelf.unit }

// room is the chunk's number in its shelf: of pieces what is free of it, in steps, so
// that the fullest one serves first and the others fall empty; of extents the pages of
// its longest free run.
func (c *chunk) room() int {
	if c.shelf.extents {
		longest := 0
		c.free(func(_, n int) { longest = max(longest, n) })
		return min(longest, rankBins)
	}
	return ((c.units()-c.n)*rankBins + c.units() - 1) / c.units()
}

// fit is the first unit of the shortest free run that has n units; there must be one.
func (c *chunk) fit(n int) (at int) {
	shortest := c.units() + 1
	c.free(func(from, length int) {
		if length >= n && length < shortest {
			at, shortest = from, length
		}
	})
	return at
}

// free calls visit for every run of free units.
func (c *chunk) free(visit func(from, n int)) {
	for i, end := 0, c.units(); ; {
		from := next(c.used, i, end, false)
		if from == end {
			return
		}
		i = next(c.used, from, end, true)
		visit(from, i-from)
	}
}

// next is the first bit from i on that is as wanted, end if none is.
func next(words []uint64, i, end int, want bool) int {
	flip := ^uint64(0)
	if want {
		flip = 0
	}
	for from := i; i < end; i = i&^63 + 64 {
		w := words[i/64] ^ flip
		if i == from {
			w = w >> (i % 64) << (i % 64)
		}
		if w != 0 {
			return min(end, i&^63+bits.TrailingZeros64(w))
		}
	}
	return end
}

// perPage is how many units become resident together.
func (c *chunk) perPage() int { return max(1, pageBytes/c.shelf.unit) }

// warmFree is a bit in word i of the units, for the first of each perPage that are
// all free and resident: these could be given back.
func (c *chunk) warmFree(i int) uint64 {
	w, first := ^c.used[i]&^c.cold[i], ^uint64(0)
	for n := 1; n < c.perPage(); n *= 2 {
		w &= w >> n
		first /= 1<<n + 1
	}
	return w & first
}

// idleAmong is how many bytes could be given back of the words that hold n units from i on.
func (c *chunk) idleAmong(i, n int) (bytes int) {
	for w := i / 64; w <= (i+n-1)/64; w++ {
		bytes += bits.OnesCount64(c.warmFree(w))
	}
	return bytes * max(c.shelf.unit, pageBytes)
}

// heat makes unit i resident, and with it those of its page. It answers how many became so.
func (c *chunk) heat(i int) int {
	per := c.perPage()
	page := (uint64(1)<<per - 1) << (i % 64 &^ (per - 1))
	n := bits.OnesCount64(c.cold[i/64] & page)
	c.cold[i/64] &^= page
	return n
}

// coolMax bounds the runs that one call gives back: each is a call of the system.
const coolMax = 32

// runs are free units on their way back to the system, as offsets in their chunk.
type runs struct {
	all   [coolMax]struct{ from, to int }
	n     int
	bytes int
}

// coldRuns finds runs of whole free pages that are resident.
func (c *chunk) coldRuns() (r runs) {
	unit, end, per := c.shelf.unit, c.units(), c.perPage()
	for i := 0; i < end && r.n < coolMax; {
		w := c.warmFree(i/64) >> (i % 64)
		if w == 0 {
			i = i&^63 + 64
			continue
		}
		i += bits.TrailingZeros64(w)
		from := i
		for ; i < end && c.warmFree(i/64)>>(i%64)&1 != 0; i += per {
		}
		r.all[r.n].from, r.all[r.n].to = from*unit, i*unit
		r.bytes, r.n = r.bytes+(i-from)*unit, r.n+1
	}
	return r
}

// borrow marks free pages as used until restore: nobody is lent them meanwhile.
func (c *chunk) borrow() (r runs) {
	r = c.coldRuns()
	for _, at := range r.all[:r.n] {
		for i := at.from / c.shelf.unit; i < at.to/c.shelf.unit; i++ {
			c.used[i/64] |= 1 << (i % 64)
		}
	}
	c.n += r.bytes / c.shelf.unit
	c.idle -= r.bytes
	return r
}

// restore takes note that the system has what was borrowed.
func (c *chunk) restore(r *runs) {
	for _, at := range r.all[:r.n] {
		for i := at.from / c.shelf.unit; i < at.to/c.shelf.unit; i++ {
			c.used[i/64] &^= 1 << (i % 64)
			c.cold[i/64] |= 1 << (i % 64)
		}
	}
	c.n -= r.bytes / c.shelf.unit
}

// cool gives free units back to the system, run by run.
func (c *chunk) cool(src source) (bytes int) {
	r := c.borrow()
	for _, at := range r.all[:r.n] {
		src.release(c.mem[at.from:at.to])
	}
	c.restore(&r)
	return r.bytes
}
