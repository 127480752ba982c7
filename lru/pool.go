package lru

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Pieces of a Pool have power-of-two sizes between these two; extents are whole
// pages up to extentMax, and have a mapping of their own beyond it.
const (
	pieceMin   = 256
	pieceMax   = 64 << 10
	pieceSizes = 9 // 256 B, 512 B, ... 64 KiB
	chunkBytes = 4 << 20
	pageBytes  = 4 << 10
	extentMax  = 1 << 20
)

// source is where a Pool has its memory from: the edge that calls the system.
type source interface {
	chunk() []byte         // a chunk of addresses, a multiple of chunkBytes, not resident yet
	ready() ([]byte, bool) // one that is resident, if any was prepared
	prepared() int64       // bytes that wait for ready
	release(b []byte)      // give memory within a chunk back, keep the addresses
	retire(b []byte)       // give the memory of a chunk back, which may be lent again
	mapping(n int) []byte  // n bytes for one large extent
	unmap(b []byte)        // the end of a mapping
	later()                // have Pool.tidy called, away from the writers, until it says false
	close()                // everything back, addresses included
}

// Pool lends memory to the stores of a node: pieces for logs and index, extents
// for large values. It lies outside the Go heap, so the garbage collector neither
// walks it nor lets it double. Safe for concurrent use: stores ask for a piece
// once per some dozens of writes, so one mutex is not felt.
//
// Sizes are kept apart, each in chunks of its own: pieces of one size leave no
// holes for others. A chunk that falls empty serves any size; a few are kept, the
// rest goes back to the system at once. The free pieces of chunks in use do so a little
// later, when they add up to more than a sixty-fourth of what is lent: after a budget
// shrank, what is left stands scattered over all chunks. Each page is a call of the
// system then; stores that are emptied one after the other would pay for all of them,
// and a moment later the chunks are empty.
//
// A nil Pool lends from the Go heap and lets the collector take care of what is
// given back: for tests, simulators, and systems without mmap.
type Pool struct {
	mu      sync.Mutex
	src     source
	shelves [pieceSizes + 1]shelf // by size; the last one holds extents
	chunks  map[uintptr]*chunk    // by address / chunkBytes
	warm    rank                  // chunks by what they could give back
	spare   []*chunk              // empty and resident
	lent    int64
	idle    int64 // resident and not lent, in chunks of a shelf
}

// shelf is the chunks of one size.
type shelf struct {
	unit    int
	extents bool   // units are lent in runs
	open    rank   // those with a free unit, by their room
	cur     *chunk // of pieces: the one to take from, nil or in open
}

const (
	spareMax = 2       // empty chunks that are kept resident
	idleMin  = 8 << 20 // free bytes that are never worth a system call
	idleStep = 1 << 20 // and so many more are worth waking a thread
)

// newPool is a Pool over a source.
func newPool(src source) *Pool {
	p := &Pool{src: src, chunks: make(map[uintptr]*chunk)}
	for i := range p.shelves {
		p.shelves[i].unit = pieceMin << i
		p.shelves[i].open.seat = seatRoom
	}
	p.shelves[pieceSizes].unit, p.shelves[pieceSizes].extents = pageBytes, true
	p.warm.seat = seatIdle
	return p
}

// Close gives everything back to the system, addresses included: whoever still reads
// an entry of a store of this pool crashes. It is for the end of a node, when all that
// could use its stores has ended; a store that ends before its pool is cleared.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.src.close() // not under the mutex: it waits for tidy
}

// MappingsMax is how many mappings of the system a pool takes at most that lends so many
// bytes: a chunk with huge pages between two without is one of its own.
func MappingsMax(bytes int64) int64 { return bytes / chunkBytes }

// LentBytes is what the stores hold of the pool.
func (p *Pool) LentBytes() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent
}

// IdleBytes is what the pool keeps resident beside that.
func (p *Pool) IdleBytes() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle + int64(len(p.spare))*chunkBytes + p.src.prepared()
}

// take lends a piece; n is a power of two from pieceMin to pieceMax. What is in it
// is of no meaning.
func (p *Pool) take(n int) unsafe.Pointer {
	if p == nil {
		return unsafe.Pointer(unsafe.SliceData(make([]byte, n)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	sh := &p.shelves[bits.TrailingZeros(uint(n/pieceMin))]
	if sh.cur == nil {
		sh.cur = p.opened(sh, 1)
	}
	c := sh.cur
	i := 0
	for ; c.used[i] == ^uint64(0); i++ {
	}
	i = i*64 + bits.TrailingZeros64(^c.used[i])
	p.mark(c, i, 1)
	return unsafe.Pointer(&c.mem[i*n])
}

// give takes a piece back.
func (p *Pool) give(ptr unsafe.Pointer, n int) {
	if poisoned {
		poison(unsafe.Slice((*byte)(ptr), n))
	}
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.chunks[uintptr(ptr)/chunkBytes]
	p.clear(c, int(uintptr(ptr)-uintptr(unsafe.Pointer(&c.mem[0])))/n, 1)
}

// giveAll takes pieces of one size back.
func (p *Pool) giveAll(ptrs []unsafe.Pointer, n int) {
	if p == nil || poisoned {
		for _, ptr := range ptrs {
			p.give(ptr, n)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ptr := range ptrs {
		c := p.chunks[uintptr(ptr)/chunkBytes]
		p.clear(c, int(uintptr(ptr)-uintptr(unsafe.Pointer(&c.mem[0])))/n, 1)
	}
}

// extent lends n contiguous bytes, rounded up to pages; what they hold is of no
// meaning. Its capacity is what counts.
func (p *Pool) extent(n int) []byte {
	size := extentBytes(n)
	if p == nil {
		return make([]byte, n, size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if size > extentMax {
		p.lent += int64(size)
		return p.src.mapping(size)[:n:size]
	}
	sh := &p.shelves[pieceSizes]
	want := size / pageBytes
	c := p.opened(sh, want)
	i := c.fit(want)
	p.mark(c, i, want)
	return c.mem[i*pageBytes : i*pageBytes+n : i*pageBytes+size]
}

// extentBytes is what an extent of n bytes takes.
func extentBytes(n int) int { return (n + pageBytes - 1) &^ (pageBytes - 1) }

// giveExtent takes an extent back.
func (p *Pool) giveExtent(b []byte) {
	if poisoned {
		poison(b)
	}
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b = b[:cap(b)]
	if len(b) > extentMax {
		p.lent -= int64(len(b))
		p.src.unmap(b)
		return
	}
	at := uintptr(unsafe.Pointer(&b[0]))
	c := p.chunks[at/chunkBytes]
	p.clear(c, int(at-uintptr(unsafe.Pointer(&c.mem[0])))/pageBytes, len(b)/pageBytes)
}

// opened is the chunk of a shelf with least room, but so much; a new one when there is none.
func (p *Pool) opened(sh *shelf, room int) *chunk {
	if c := sh.open.least(room); c != nil {
		return c
	}
	return p.begin(sh)
}

// begin puts an empty chunk on a shelf.
func (p *Pool) begin(sh *shelf) *chunk {
	for p.idle > 2*p.idleMost()+idleStep && p.trim() { // nobody came to tidy, and more becomes resident now
	}
	c, resident := p.empty(sh)
	words := chunkBytes / sh.unit / 64
	c.shelf, c.idle = sh, 0
	c.used, c.cold = make([]uint64, words), make([]uint64, words)
	if resident {
		p.idle += chunkBytes
		c.idle = chunkBytes
	} else {
		for i := range c.cold {
			c.cold[i] = ^uint64(0)
		}
	}
	p.file(c)
	return c
}

// file puts a chunk where its room and its idle bytes say, after they changed.
func (p *Pool) file(c *chunk) {
	room := c.room()
	c.shelf.open.move(c, room)
	p.warm.move(c, (c.idle*rankBins+chunkBytes-1)/chunkBytes)
	if room == 0 && c.shelf.cur == c {
		c.shelf.cur = nil
	}
}

// empty finds a chunk, one that is resident before one that is not. Extents do
// not get what was prepared: that has large pages, and the free pages of extents
// are given back one by one.
func (p *Pool) empty(sh *shelf) (c *chunk, resident bool) {
	if n := len(p.spare); n > 0 {
		c, p.spare = p.spare[n-1], p.spare[:n-1]
		return c, true
	}
	if sh != &p.shelves[pieceSizes] {
		if b, ok := p.src.ready(); ok {
			return p.enter(b), true
		}
	}
	return p.enter(p.src.chunk()), false
}

func (p *Pool) enter(b []byte) *chunk {
	c := &chunk{mem: b}
	p.chunks[uintptr(unsafe.Pointer(&b[0]))/chunkBytes] = c
	return c
}

// mark lends n units from unit i on.
func (p *Pool) mark(c *chunk, i, n int) {
	unit := c.shelf.unit
	c.idle -= c.idleAmong(i, n)
	for j := i; j < i+n; j++ {
		c.used[j/64] |= 1 << (j % 64)
		p.idle += int64((c.heat(j) - 1) * unit)
	}
	c.idle += c.idleAmong(i, n)
	c.n += n
	p.lent += int64(n * unit)
	p.file(c)
}

// clear takes n units back.
func (p *Pool) clear(c *chunk, i, n int) {
	unit := c.shelf.unit
	c.idle -= c.idleAmong(i, n)
	for j := i; j < i+n; j++ {
		c.used[j/64] &^= 1 << (j % 64)
	}
	c.idle += c.idleAmong(i, n)
	c.n -= n
	p.lent -= int64(n * unit)
	p.idle += int64(n * unit)
	if c.n == 0 {
		p.retire(c)
		return
	}
	p.file(c)
	if p.idle > p.idleMost()+idleStep {
		p.src.later()
	}
}

// idleMost is what may be resident and not lent in chunks of a shelf.
func (p *Pool) idleMost() int64 { return max(idleMin, p.lent/64) }

// retire takes an empty chunk off its shelf.
func (p *Pool) retire(c *chunk) {
	sh := c.shelf
	sh.open.move(c, 0)
	p.warm.move(c, 0)
	if sh.cur == c {
		sh.cur = nil
	}
	resident := chunkBytes
	for _, w := range c.cold {
		resident -= bits.OnesCount64(w) * sh.unit
	}
	p.idle -= int64(resident)
	c.shelf, c.used, c.cold = nil, nil, nil
	if len(p.spare) < spareMax && resident == chunkBytes {
		p.spare = append(p.spare, c)
		return
	}
	delete(p.chunks, uintptr(unsafe.Pointer(&c.mem[0]))/chunkBytes)
	p.src.retire(c.mem)
}

// tidy gives a few free pages back to the system, if there are too many. It reports
// whether there still are. While the system works they are lent to nobody and the mutex
// is free: writers that came back for one page each would wait for dozens of calls.
func (p *Pool) tidy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle <= p.idleMost() {
		return false
	}
	c := p.warm.most()
	if c == nil {
		return false
	}
	runs := c.borrow()
	p.idle -= int64(runs.bytes)
	p.file(c)
	p.mu.Unlock()
	for _, r := range runs.all[:runs.n] {
		p.src.release(c.mem[r.from:r.to])
	}
	p.mu.Lock()
	if c.restore(&runs); c.n == 0 {
		p.retire(c)
	} else {
		p.file(c)
	}
	return true
}

// trim gives free pages of one chunk back: of the one that has most. false: none has any.
func (p *Pool) trim() bool {
	c := p.warm.most()
	if c == nil {
		return false
	}
	p.idle -= int64(c.cool(p.src))
	p.file(c)
	return true
}
