package lru

import (
	"math/bits"
	"unsafe"
)

// How the index grows and shrinks: one group at a time is laid out anew.

const (
	firstBuckets  = 4
	splitBuckets  = 4 * pageLines // of each half of a group that is cut in two
	bucketsMax    = pagesPerGroup * pageLines
	depthMax      = 24
	overflowShare = 3 // a group grows when more than 1 of this many buckets overflow
	entriesMerged = 5 // per bucket of a group that was made from two
)

// start makes the index one small group.
func (x *index) start(p *Pool, pieceBytes int) {
	x.single, x.families = makeHeap(pieceBytes, lineBytes), makeHeap(pieceBytes, familyLines*lineBytes)
	x.dir, x.depth = make([]*group, 1), 0
	x.install(x.newGroup(0, 0, firstBuckets, p))
}

// clear gives everything back.
func (x *index) clear(p *Pool) {
	for i, g := range x.dir {
		if i == 0 || x.dir[i-1] != g {
			x.discard(g, p)
		}
	}
	x.single.clear(p)
	x.families.clear(p)
	*x = index{records: x.records}
}

// heldBytes is the memory of the index.
func (x *index) heldBytes() int64 {
	return x.pages + x.single.heldBytes() + x.families.heldBytes() + int64(cap(x.dir))*8 + int64(x.groups)*groupHeapBytes
}

// newGroup makes an empty group that is not in the directory yet.
func (x *index) newGroup(prefix uint32, depth uint8, buckets int, p *Pool) *group {
	g := &group{buckets: uint32(buckets), prefix: prefix, depth: depth}
	for i := range (buckets + pageLines - 1) / pageLines {
		n := g.pageBytes()
		g.pages[i] = p.take(n)
		clear(unsafe.Slice((*byte)(g.pages[i]), n))
		x.pages += int64(n)
	}
	x.groups++
	return g
}

// pageBytes is the size of the group's pages.
func (g *group) pageBytes() int { return min(int(g.buckets), pageLines) * lineBytes }

// install puts a group into the directory.
func (x *index) install(g *group) {
	if g.depth > x.depth {
		dir := make([]*group, 2*len(x.dir))
		for i := range dir {
			dir[i] = x.dir[i/2]
		}
		x.dir = dir
		x.depth++
	}
	first, n := uint64(g.prefix)>>(32-x.depth), 1<<(x.depth-g.depth)
	for i := range n {
		x.dir[int(first)+i] = g
	}
}

// discard gives the pages of a group back, and what is beyond its buckets.
func (x *index) discard(g *group, p *Pool) {
	for b := range g.buckets {
		x.prune(g.line(b), 0, p)
	}
	for _, page := range g.pages {
		if page != nil {
			p.give(page, g.pageBytes())
			x.pages -= int64(g.pageBytes())
		}
	}
	x.groups--
}

// prune gives back what is beyond a line.
func (x *index) prune(l *line, level int, p *Pool) {
	if l.next() == 0 {
		return
	}
	if level == 0 {
		x.prune(x.single.line(l.next()), 1, p)
	} else {
		for i := range uint64(familyLines) {
			x.prune(x.step(l, level, i<<(3*(level-1)%63)), level+1, p)
		}
	}
	x.release(l, level, p)
}

// grow lays a group out with more buckets; false when it is as fine as it can be.
func (x *index) grow(g *group, p *Pool) bool {
	switch {
	case g.buckets < pageLines:
		x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth, 2*int(g.buckets), p))
	case g.buckets < bucketsMax:
		x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth, int(g.buckets)+pageLines, p))
	case g.depth < depthMax:
		x.split(g, p)
	default:
		return false
	}
	return true
}

// Entries that come in the order of their hashes crowd a few buckets while the others
// are empty: a group would grow late, and each of them would be moved a dozen times.
const (
	// reserveLeast entries tell how densely a range is going to be filled.
	reserveLeast = 16
	// crowded entries a bucket are as many as a group has that grows by itself, when it does.
	crowded = 6.25
	// reserved entries a bucket are what a group is made for: as many as after it grew.
	reserved = 5.5
)

// reserve makes room where n entries are to be filed whose upper halves lie evenly in
// [lo, hi], and as densely in the rest of the groups there, but not more densely than
// most entries in all.
func (x *index) reserve(lo, hi uint32, n int, most int64, p *Pool) {
	if n < reserveLeast {
		return
	}
	each := min(float64(n)/(float64(hi-lo)+1), float64(most)/(1<<32))
	for {
		g := x.group(lo)
		want := each * float64(uint64(1)<<(32-g.depth))
		if want > crowded*float64(g.buckets) && x.refine(g, want/reserved, p) {
			continue
		}
		if hi <= g.last() {
			return
		}
		lo = g.last() + 1
	}
}

// refine lays a group out with so many buckets, or as two groups where one has not as
// many; false when that changes nothing.
func (x *index) refine(g *group, buckets float64, p *Pool) bool {
	if buckets > bucketsMax && g.depth < depthMax {
		x.split(g, p)
		return true
	}
	want := int(min(buckets, bucketsMax))
	if want >= pageLines {
		want = (want + pageLines - 1) / pageLines * pageLines
	} else {
		want = 1 << bits.Len(uint(want))
	}
	if want <= int(g.buckets) {
		return false
	}
	x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth, want, p))
	return true
}

// split makes two groups of one.
func (x *index) split(g *group, p *Pool) {
	half := uint32(1) << (31 - g.depth)
	x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth+1, splitBuckets, p),
		x.newGroup(g.prefix+half, g.depth+1, splitBuckets, p))
}

// sparse says whether the group's entries would fit into the next smaller layout
// without many of them beyond their buckets.
func (g *group) sparse() bool {
	if g.buckets <= 2*pageLines {
		return g.entries < 2*g.buckets
	}
	return g.entries < 3*g.buckets
}

// shrink lays a group out with fewer buckets, or together with its neighbour.
func (x *index) shrink(g *group, p *Pool) {
	switch {
	case g.buckets > splitBuckets, g.depth == 0 && g.buckets > pageLines:
		x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth, int(g.buckets)-pageLines, p))
	case g.depth > 0:
		x.merge(g, x.group(g.prefix^1<<(32-g.depth)), p)
	case g.buckets > firstBuckets:
		x.replace(p, []*group{g}, x.newGroup(g.prefix, g.depth, int(g.buckets)/2, p))
	}
}

// merge makes one group of two neighbours, when the other one is no larger.
func (x *index) merge(g, other *group, p *Pool) {
	buckets := (int(g.entries+other.entries)/entriesMerged/pageLines + 1) * pageLines
	if other.depth != g.depth || buckets > bucketsMax {
		return
	}
	x.replace(p, []*group{g, other}, x.newGroup(min(g.prefix, other.prefix), g.depth-1, max(buckets, splitBuckets), p))
	for x.depth > 0 && x.halvable() {
		dir := make([]*group, len(x.dir)/2)
		for i := range dir {
			dir[i] = x.dir[2*i]
		}
		x.dir = dir
		x.depth--
	}
}

// halvable says whether no group needs the last bit of the directory.
func (x *index) halvable() bool {
	for _, g := range x.dir {
		if g.depth == x.depth {
			return false
		}
	}
	return true
}

// replace moves all entries of old groups into new ones, which cover the same range.
func (x *index) replace(p *Pool, old []*group, fresh ...*group) {
	for _, g := range fresh {
		x.install(g)
	}
	for _, g := range old {
		x.touch(g)
		for b := range g.buckets {
			low := g.first(b)
			x.each(g.line(b), 0, func(at *uint64) bool {
				hi := x.upper(g, low, *at)
				x.put(x.group(hi), hi, *at, p)
				return true
			})
		}
		x.discard(g, p)
	}
}

// touch asks for the first lines beyond all buckets of a group, so that the misses
// overlap: two thirds of the time that a group is laid out in would go for them.
func (x *index) touch(g *group) {
	for b := range g.buckets {
		if n := g.line(b).next(); n != 0 {
			prefetch(unsafe.Pointer(x.single.line(n)))
		}
	}
}

// upper is the upper half of the hash of a slot in the bucket that begins at low.
func (x *index) upper(g *group, low uint32, slot uint64) uint32 {
	if g.buckets < pageLines {
		return uint32(x.records.hashOf(slot) >> 32)
	}
	return upper(low, slot)
}
