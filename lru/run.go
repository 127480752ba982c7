package lru

import (
	"math/bits"
	"unsafe"
)

// run is a stream of records in pieces of the pool: appended to at the head, used
// up from the tail. Positions in it are multiples of 8 that rise for ever; an
// index slot keeps the low posBits of position/8, which tell a record apart as
// long as a run is shorter than 128 GiB.
//
//	base        tail                                    head
//	 | segs[first] | segs[first+1] |     ...     | last seg    |
//	 |........#####|###############|#############|#####........|
//
// A record may reach from one segment into the next ones: nothing is lost at the
// end of a segment, however small segments are beside their records. It is copied
// together when it is read. Records are marked dead where they lie; their bytes
// are free again when the tail has passed them.
type run struct {
	segs  []unsafe.Pointer
	first int
	shift uint8 // log2 of the bytes of a segment
	base  uint64
	tail  uint64
	head  uint64
	dead  int64 // bytes between tail and head that no entry uses
	reach int   // bytes of the longest record since the run was empty
}

// segment is the bytes of one segment.
func (r *run) segment() int { return 1 << r.shift }

// length is the bytes from tail to head.
func (r *run) length() int64 { return int64(r.head - r.tail) }

// heldBytes is the memory of the segments.
func (r *run) heldBytes() int64 { return int64(len(r.segs)-r.first) << r.shift }

// position is the position whose low bits a slot keeps.
func (r *run) position(low uint64) uint64 { return r.base + ((low-r.base>>3)&posMask)<<3 }

// at is the address of a position and how many bytes follow it in its segment.
func (r *run) at(pos uint64) (unsafe.Pointer, int) {
	d := pos - r.base
	off := int(d) & (1<<r.shift - 1)
	return unsafe.Add(r.segs[r.first+int(d>>r.shift)], off), 1<<r.shift - off
}

// segmentAt is the place in the table of the segment that a position lies in.
func (r *run) segmentAt(pos uint64) *unsafe.Pointer {
	return &r.segs[r.first+int((pos-r.base)>>r.shift)]
}

// word is where the 8 bytes at a position lie.
func (r *run) word(pos uint64) *uint64 {
	p, _ := r.at(pos)
	return (*uint64)(p)
}

// read gives n bytes from a position on: in place when they lie in one segment,
// else copied to scratch.
func (r *run) read(pos uint64, n int, scratch *[]byte) []byte {
	p, room := r.at(pos)
	if n <= room {
		return unsafe.Slice((*byte)(p), n)
	}
	if cap(*scratch) < n {
		*scratch = make([]byte, n) // not a byte more: see Store.Over
	}
	b := (*scratch)[:0]
	for {
		k := min(n, room)
		b = append(b, unsafe.Slice((*byte)(p), k)...)
		if n -= k; n == 0 {
			*scratch = b
			return b
		}
		pos += uint64(k)
		p, room = r.at(pos)
	}
}

// write puts bytes at a position.
func (r *run) write(pos uint64, b []byte) {
	for len(b) > 0 {
		p, room := r.at(pos)
		k := min(len(b), room)
		copy(unsafe.Slice((*byte)(p), k), b)
		b, pos = b[k:], pos+uint64(k)
	}
}

// extend makes room for n bytes at the head, a multiple of 8, and gives their position.
func (r *run) extend(n int, p *Pool) uint64 {
	pos := r.head
	r.head += uint64(n)
	for r.base+uint64(r.heldBytes()) < r.head {
		r.add(p.take(r.segment()))
	}
	return pos
}

// add puts a segment at the end of the table, of which a sixteenth is free at most: in a
// small store a table that doubles takes more than all else that is not records.
func (r *run) add(seg unsafe.Pointer) {
	if len(r.segs) == cap(r.segs) {
		live := r.segs[r.first:]
		if want := len(live) + len(live)/16 + 2; r.first <= len(live)/16 || cap(r.segs) > 2*want {
			r.segs = make([]unsafe.Pointer, 0, want)
		}
		n := copy(r.segs[:cap(r.segs)], live)
		clear(r.segs[n:cap(r.segs)])
		r.segs, r.first = r.segs[:n], 0
	}
	r.segs = append(r.segs, seg)
}

// pass moves the tail on by n bytes and gives the segments before it back.
func (r *run) pass(n int, p *Pool) {
	r.tail += uint64(n)
	if r.tail == r.head {
		r.clear(p)
		return
	}
	for r.base+1<<r.shift <= r.tail {
		p.give(r.segs[r.first], r.segment())
		r.segs[r.first] = nil
		r.first++
		r.base += 1 << r.shift
	}
}

// clear gives all segments back.
func (r *run) clear(p *Pool) {
	p.giveAll(r.segs[r.first:], r.segment())
	*r = run{shift: r.shift}
}

// segmentShift is log2 of the segment size that wastes least of a budget: at most
// two segments of each run are not filled, and each costs a pointer. From 2 MiB on
// segments are twice as long: that is less than half a percent of the budget, and
// fewer records reach over an end (of 1 KiB, one in eight and not one in four).
func segmentShift(budget int64) uint8 {
	n := bits.Len64(uint64(max(0, budget))) // budget < 2^n
	shift := (n + 2) / 2
	if n > 21 {
		shift++
	}
	return uint8(min(max(shift, 8), 16))
}
