package lru

import "unsafe"

// ghost remembers the hashes that left probation lately, as many as nine tenths of
// the entries: a mark of 4 bytes each, in lines of 16.
//
//	mark: age 16 | bits 32..47 of the hash 16
//
// The line is chosen by the low bits of the hash. A mark counts while fewer
// evictions than there should be marks have come after it: its age says so, with no
// queue beside it. A full line forgets its oldest mark.
//
// When a line is split, a mark does not tell which half is its own, so both lines have
// it, and the wrong one ages away. Ages count in units that
// double with the number of lines, which is why a line's unit depends on whether its
// turn has come.
type ghost struct {
	lineTable
	clock uint64 // evictions remembered so far
	limit uint64 // marks that count
}

const (
	marksPerLine  = 16
	marksWanted   = 12 // per line on average
	ghostTenths   = 9  // of the entries
	ageBits       = 16
	freeLevels    = 9 // lines < 2^9 count ages one by one
	linesPerEvict = 2 // lines added or dropped with each eviction, at most
)

// line is the marks of a line.
func (g *ghost) line(i int) *[marksPerLine]uint32 {
	return (*[marksPerLine]uint32)(unsafe.Pointer(g.at(i)))
}

// unit is the log2 of the evictions that an age of 1 stands for in a line.
func (g *ghost) unit(line int) int {
	level := g.level()
	if line >= 1<<level || line < g.lines-1<<level {
		level++
	}
	return max(0, level-freeLevels)
}

// age is how many evictions ago a mark of a line was made, about.
func (g *ghost) age(mark uint32, unit int) uint64 {
	return (g.clock>>unit - uint64(mark>>ageBits)) & (1<<ageBits - 1) << unit
}

// take says whether a hash is remembered, and forgets it.
func (g *ghost) take(hash uint64) bool {
	if g.lines == 0 {
		return false
	}
	i := g.place(hash)
	unit, low := g.unit(i), uint32(hash>>32&0xffff)
	for j := range g.line(i) {
		m := &g.line(i)[j]
		if *m != 0 && *m&0xffff == low && g.age(*m, unit) < g.limit {
			*m = 0
			return true
		}
	}
	return false
}

// add remembers a hash; entries is how many the store has.
func (g *ghost) add(hash uint64, entries, pieceBytes int, p *Pool) {
	g.clock++
	g.limit = max(1, uint64(entries)*ghostTenths/10)
	g.resize(int(g.limit)/marksWanted+1, pieceBytes, p)
	i := g.place(hash)
	unit := g.unit(i)
	oldest, most := 0, uint64(0)
	for j, m := range g.line(i) {
		if m == 0 {
			oldest = j
			break
		}
		if a := g.age(m, unit); a >= most {
			oldest, most = j, a
		}
	}
	g.line(i)[oldest] = max(1, uint32(g.clock>>unit)<<ageBits|uint32(hash>>32&0xffff))
}

// resize brings the number of lines nearer to what is wanted.
func (g *ghost) resize(want, pieceBytes int, p *Pool) {
	if g.lines == 0 {
		g.start(pieceBytes, p)
	}
	for range linesPerEvict {
		switch {
		case g.lines < want:
			g.split(p)
		case g.lines > want+want/4+1:
			g.dropLine(p)
		}
	}
}

// split copies the line whose turn it is to a new one.
func (g *ghost) split(p *Pool) {
	from := parent(g.lines)
	before := g.unit(from)
	g.push(p)
	g.convert(from, before)
	g.convert(g.lines-1, before)
}

// dropLine forgets the last line; the one that it was split from has all hashes again.
func (g *ghost) dropLine(p *Pool) {
	from := parent(g.lines - 1)
	before := g.unit(from)
	g.pop(p)
	g.convert(from, before)
}

// convert writes the ages of a line in its present unit.
func (g *ghost) convert(line, before int) {
	unit := g.unit(line)
	if unit == before {
		return
	}
	for j, m := range g.line(line) {
		if m != 0 {
			made := g.clock - g.age(m, before)
			g.line(line)[j] = max(1, uint32(made>>unit)<<ageBits|m&0xffff)
		}
	}
}

// clear forgets everything and gives it back.
func (g *ghost) clear(p *Pool) {
	g.drop(p)
	*g = ghost{}
}
