package lru

import (
	"math/bits"
	"unsafe"
)

// The index: buckets of one cache line, found by the high bits of the hash.
//
//	directory (high bits) -> group (a hash range) -> bucket (a part of it) -> overflow
//
// A group cuts its range into equal buckets, 256 to 448 of them in pages of 64;
// when too many of its buckets overflow it is laid out anew with 64 more, and in
// the end becomes two groups. So the index grows by a few KiB at a time, is always
// three quarters full, and a run of buckets is a hash range. A small index is one
// group of 4 buckets or more.
//
// A bucket is a word about itself and seven slots:
//
//	word: used slots 7 | entries beyond this bucket 25 | number of the next one 32
//	slot: tag 26 | position/8 34 | run 2 | hits 2
//
// The tag is bits 32..57 of the hash. Bucket and tag together give the upper half
// of the hash back, so that a group is laid out anew without a look at the
// records.
//
// What does not fit goes beyond: first to one line for each bucket, then to
// families of eight lines, chosen by three bits of a second hash each time. A
// hundred thousand keys of one hash are a tree of six levels, and grow nothing else:
// groups grow by the number of buckets that overflow, not by how far.
type index struct {
	records  records
	dir      []*group // 1<<depth
	depth    uint8
	groups   int
	pages    int64 // bytes
	single   heap  // first lines beyond a bucket
	families heap  // further ones
}

// records is what the index has to know of the records that its slots name.
type records interface {
	hashOf(slot uint64) uint64
	// secondOf is a hash of the key that is not the first one's.
	secondOf(slot uint64) uint64
}

const (
	slotsPerLine = 7
	tagBits      = 26
	posBits      = 34
	posMask      = 1<<posBits - 1
	beyondUnit   = 1 << slotsPerLine
	beyondMask   = (1<<25 - 1) * beyondUnit
	familyLines  = 8

	pageLines      = 64
	pagesPerGroup  = 7
	groupHeapBytes = int64(unsafe.Sizeof(group{}))
)

// group is a hash range and its buckets.
type group struct {
	pages   [pagesPerGroup]unsafe.Pointer
	buckets uint32
	entries uint32
	over    uint32 // buckets that overflow
	prefix  uint32 // the first upper half of a hash in the range
	depth   uint8  // bits of prefix that count
}

// slot puts a slot together. hi is the upper half of the hash.
func makeSlot(hi uint32, run int, pos uint64, hits uint64) uint64 {
	return uint64(hi)<<(64-tagBits) | (pos>>3&posMask)<<4 | uint64(run)<<2 | hits
}

func slotPos(s uint64) uint64 { return s >> 4 & posMask }

func slotRun(s uint64) int { return int(s >> 2 & 3) }

// beyond is the number of entries in the lines beyond this one.
func (l *line) beyond() uint64 { return l[0] & beyondMask / beyondUnit }

// next is the number of the line or family beyond this one.
func (l *line) next() uint32 { return uint32(l[0] >> 32) }

// used says whether slot i holds an entry; slots count from 1.
func (l *line) used(i int) bool { return l[0]>>(i-1)&1 != 0 }

// group finds the group of an upper half.
func (x *index) group(hi uint32) *group { return x.dir[uint64(hi)>>(32-x.depth)] }

// bucket is the number of a hash's bucket in the group.
func (g *group) bucket(hi uint32) uint32 {
	return uint32(uint64(hi<<g.depth) * uint64(g.buckets) >> 32)
}

// line is a bucket of the group.
func (g *group) line(bucket uint32) *line {
	return (*line)(unsafe.Add(g.pages[bucket/pageLines], bucket%pageLines*lineBytes))
}

// first is the lowest upper half that belongs to a bucket.
func (g *group) first(bucket uint32) uint32 {
	x := (uint64(bucket)<<32 + uint64(g.buckets) - 1) / uint64(g.buckets)
	return g.prefix + uint32((x+1<<g.depth-1)>>g.depth)
}

// upper gives the upper half of a hash back from the lowest one of its bucket and
// its tag. It can as long as a bucket's range is not wider than the tag, that is
// from 64 buckets on.
func upper(low uint32, slot uint64) uint32 {
	hi := low&^(1<<tagBits-1) | uint32(slot>>(64-tagBits))
	if hi < low {
		hi += 1 << tagBits
	}
	return hi
}

// last is the highest upper half of the group's range.
func (g *group) last() uint32 { return g.prefix + uint32(1<<(32-g.depth)-1) }

// step goes from a line to the one beyond it where an entry of this second hash
// belongs. level counts the steps.
func (x *index) step(l *line, level int, second uint64) *line {
	if level == 0 {
		return x.single.line(l.next())
	}
	which := second >> (3 * (level - 1) % 63) & (familyLines - 1)
	return (*line)(unsafe.Add(unsafe.Pointer(x.families.line(l.next())), which*lineBytes))
}

// insert files a slot.
func (x *index) insert(hi uint32, slot uint64, p *Pool) *uint64 {
	g := x.group(hi)
	if g.over*overflowShare > g.buckets && x.grow(g, p) {
		g = x.group(hi)
	}
	return x.put(g, hi, slot, p)
}

// put files a slot in its bucket or beyond it.
func (x *index) put(g *group, hi uint32, slot uint64, p *Pool) *uint64 {
	g.entries++
	l, second := g.line(g.bucket(hi)), uint64(0)
	for level := 0; ; level++ {
		if i := 1 + bits.TrailingZeros8(^uint8(l[0])&0x7f); i <= slotsPerLine {
			l[0] |= 1 << (i - 1)
			l[i] = slot
			return &l[i]
		}
		switch {
		case level == 0 && l.next() == 0:
			g.over++
			l[0] |= uint64(x.single.take(p)) << 32
		case level == 1:
			second = x.records.secondOf(slot)
			fallthrough
		case level > 1:
			if l.next() == 0 {
				l[0] |= uint64(x.families.take(p)) << 32
			}
		}
		l[0] += beyondUnit
		l = x.step(l, level, second)
	}
}

// remove takes out the slot at an address.
func (x *index) remove(hi uint32, at *uint64, p *Pool) {
	g := x.group(hi)
	g.entries--
	home := g.line(g.bucket(hi))
	overflowed := home.next() != 0
	x.drop(home, 0, at, p)
	if overflowed && home.next() == 0 {
		g.over--
	}
	if g.sparse() {
		x.shrink(g, p)
	}
}

// drop takes a slot out of a line or from beyond it, and lets go of what is empty.
func (x *index) drop(l *line, level int, at *uint64, p *Pool) {
	if i := int(uintptr(unsafe.Pointer(at))-uintptr(unsafe.Pointer(l))) / 8; i >= 1 && i <= slotsPerLine {
		l[0] &^= 1 << (i - 1)
		l[i] = 0
		return
	}
	second := uint64(0)
	if level > 0 {
		second = x.records.secondOf(*at)
	}
	x.drop(x.step(l, level, second), level+1, at, p)
	if l[0] -= beyondUnit; l.beyond() == 0 {
		x.release(l, level, p)
	}
}

// release lets go of the line or family beyond a line, which is empty.
func (x *index) release(l *line, level int, p *Pool) {
	if level == 0 {
		x.single.give(l.next(), p)
	} else {
		x.families.give(l.next(), p)
	}
	l[0] &= 1<<slotsPerLine - 1
}

// each calls visit for every slot of a bucket and beyond it, until it says false.
func (x *index) each(l *line, level int, visit func(at *uint64) bool) bool {
	for i := 1; i <= slotsPerLine; i++ {
		if l.used(i) && !visit(&l[i]) {
			return false
		}
	}
	if l.next() == 0 {
		return true
	}
	if level == 0 {
		return x.each(x.single.line(l.next()), 1, visit)
	}
	for i := range uint64(familyLines) {
		if !x.each(x.step(l, level, i<<(3*(level-1)%63)), level+1, visit) {
			return false
		}
	}
	return true
}

// under calls visit for the slots that may have this upper half, until it says false.
func (x *index) under(hi uint32, visit func(at *uint64) bool) {
	g, tag := x.group(hi), uint64(hi)<<(64-tagBits)
	x.each(g.line(g.bucket(hi)), 0, func(at *uint64) bool {
		return (*at^tag)>>(64-tagBits) != 0 || visit(at)
	})
}

// walk calls visit for the slots that may have an upper half in [lo, hi], bucket by
// bucket, until it says false. ahead is told the first line of the bucket that is next.
func (x *index) walk(lo, hi uint32, ahead func(l *line), visit func(at *uint64) bool) {
	for {
		g := x.group(lo)
		to := min(hi, g.last())
		first, last := g.bucket(lo), g.bucket(to)
		for b := first; b <= last; b++ {
			if b < last {
				ahead(g.line(b + 1))
			}
			pick := visit
			if (b == first || b == last) && g.buckets >= pageLines {
				// Only a part of the bucket is asked for, and it says which by itself.
				low := g.first(b)
				pick = func(at *uint64) bool {
					h := upper(low, *at)
					return h < lo || h > to || visit(at)
				}
			}
			if !x.each(g.line(b), 0, pick) {
				return
			}
		}
		if to == hi {
			return
		}
		lo = to + 1
	}
}

// secondHash is a hash of the key beside the keyed one. Keys that collide in that
// one were not chosen by a client who does not know its secret, so this one has none.
func secondHash(key []byte) uint64 { return sipHash13(0x5bd1e995, uint64(len(key)), key) }
