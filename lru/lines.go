package lru

import (
	"math/bits"
	"unsafe"
)

// line is one cache line: a bucket of the index, or a list cell of the wheel.
type line [8]uint64

const lineBytes = 64

// heap lends blocks of one or more lines out of pieces of the pool, by number. A
// number is never 0, so that 0 can mean none.
type heap struct {
	pieces []piece
	piece  int      // bytes of a piece
	block  int      // bytes of a block
	open   []uint32 // pieces with free blocks, and some that had
	vacant []uint32 // places in pieces without memory
}

// piece is memory of up to 64 blocks.
type piece struct {
	mem  unsafe.Pointer
	used uint64 // a bit per block
	open bool   // listed in open
}

// makeHeap makes a heap without memory.
func makeHeap(pieceBytes, blockBytes int) heap {
	return heap{piece: max(pieceBytes, blockBytes), block: blockBytes}
}

// blocks is the number of blocks of a piece.
func (h *heap) blocks() int { return min(64, h.piece/h.block) }

// heldBytes is the memory of the pieces and of what keeps them.
func (h *heap) heldBytes() int64 {
	return int64(len(h.pieces)-len(h.vacant))*int64(h.piece) +
		int64(cap(h.pieces))*int64(unsafe.Sizeof(piece{})) + int64(cap(h.open)+cap(h.vacant))*4
}

// line is the first line of a block.
func (h *heap) line(number uint32) *line {
	n := int(number - 1)
	return (*line)(unsafe.Add(h.pieces[n/h.blocks()].mem, n%h.blocks()*h.block))
}

// take lends an empty block.
func (h *heap) take(p *Pool) uint32 {
	at := h.openPiece(p)
	pc := &h.pieces[at]
	i := bits.TrailingZeros64(^pc.used)
	pc.used |= 1 << i
	b := unsafe.Slice((*byte)(unsafe.Add(pc.mem, i*h.block)), h.block)
	clear(b)
	return uint32(int(at)*h.blocks()+i) + 1
}

// openPiece finds a piece with a free block, or gets one.
func (h *heap) openPiece(p *Pool) uint32 {
	for n := len(h.open); n > 0; n = len(h.open) {
		at := h.open[n-1]
		if pc := &h.pieces[at]; pc.mem != nil && bits.OnesCount64(pc.used) < h.blocks() {
			return at
		}
		h.pieces[at].open = false
		h.open = h.open[:n-1]
	}
	at := uint32(len(h.pieces))
	if n := len(h.vacant); n > 0 {
		at, h.vacant = h.vacant[n-1], h.vacant[:n-1]
	} else {
		h.pieces = append(h.pieces, piece{})
	}
	h.pieces[at] = piece{mem: p.take(h.piece), open: true}
	h.open = append(h.open, at)
	return at
}

// give takes a block back.
func (h *heap) give(number uint32, p *Pool) {
	n := int(number - 1)
	at := uint32(n / h.blocks())
	pc := &h.pieces[at]
	pc.used &^= 1 << (n % h.blocks())
	if pc.used == 0 {
		p.give(pc.mem, h.piece)
		pc.mem = nil
		h.vacant = append(h.vacant, at)
	}
	if !pc.open {
		pc.open = true
		h.open = append(h.open, at)
	}
}

// clear gives everything back.
func (h *heap) clear(p *Pool) {
	for i := range h.pieces {
		if h.pieces[i].mem != nil {
			p.give(h.pieces[i].mem, h.piece)
		}
	}
	*h = heap{piece: h.piece, block: h.block}
}
