package lru

import (
	"math/bits"
	"unsafe"
)

// lineTable is lines in pieces of the pool, found by the low bits of a hash. They come
// and go one by one (linear hashing): the line whose turn it is is copied to a new
// one, which then has half of its hashes.
type lineTable struct {
	pages []unsafe.Pointer
	piece int
	lines int
}

// heldBytes is the memory of the lines.
func (t *lineTable) heldBytes() int64 {
	return int64(len(t.pages)*t.piece) + int64(cap(t.pages))*8
}

// at is a line.
func (t *lineTable) at(i int) *line {
	per := t.piece / lineBytes
	return (*line)(unsafe.Add(t.pages[i/per], i%per*lineBytes))
}

// level is log2 of the number of lines before the present round of doubling.
func (t *lineTable) level() int { return bits.Len(uint(t.lines)) - 1 }

// place is the line of a hash.
func (t *lineTable) place(hash uint64) int {
	level := t.level()
	if i := int(hash & (2<<level - 1)); i < t.lines {
		return i
	}
	return int(hash & (1<<level - 1))
}

// parent is the line that line i is split from.
func parent(i int) int { return i - 1<<(bits.Len(uint(i))-1) }

// start gets the first line, an empty one.
func (t *lineTable) start(pieceBytes int, p *Pool) {
	t.pages, t.piece, t.lines = append(t.pages, p.take(pieceBytes)), pieceBytes, 1
	*t.at(0) = line{}
}

// push adds a line, a copy of its parent.
func (t *lineTable) push(p *Pool) {
	if t.lines*lineBytes == len(t.pages)*t.piece {
		t.pages = append(t.pages, p.take(t.piece))
	}
	t.lines++
	*t.at(t.lines - 1) = *t.at(parent(t.lines - 1))
}

// pop takes the last line away, but never the first.
func (t *lineTable) pop(p *Pool) {
	t.lines--
	if n := len(t.pages) - 1; t.lines*lineBytes == n*t.piece {
		p.give(t.pages[n], t.piece)
		t.pages = t.pages[:n]
	}
}

// drop gives all lines back.
func (t *lineTable) drop(p *Pool) {
	for _, page := range t.pages {
		p.give(page, t.piece)
	}
	*t = lineTable{}
}
