package lru

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// heapSource gives a Pool Go memory, so that its books can be checked everywhere
// and under the race detector.
type heapSource struct {
	chunks    int
	resident  map[uintptr]bool // pages given back are not
	large     int
	untidy    bool
	releases  int            // calls of the system to give memory within a chunk back
	meanwhile func(b []byte) // while the system takes b
}

func (h *heapSource) chunk() []byte {
	h.chunks++
	b := make([]byte, 2*chunkBytes)
	skip := -uintptr(unsafe.Pointer(&b[0])) % chunkBytes
	return b[skip : skip+chunkBytes]
}

func (h *heapSource) ready() ([]byte, bool) { return nil, false }
func (h *heapSource) prepared() int64       { return 0 }

func (h *heapSource) release(b []byte) {
	h.releases++
	if h.meanwhile != nil {
		h.meanwhile(b)
	}
	h.vacate(b)
}

func (h *heapSource) vacate(b []byte) {
	for i := 0; i < len(b); i += pageBytes {
		delete(h.resident, uintptr(unsafe.Pointer(&b[i])))
	}
}

func (h *heapSource) retire(b []byte) { h.vacate(b) }

func (h *heapSource) mapping(n int) []byte { h.large++; return make([]byte, n) }
func (h *heapSource) unmap(b []byte)       { h.large--; h.vacate(b) }
func (h *heapSource) later()               { h.untidy = true }
func (h *heapSource) close()               {}

// tidies does what the source was asked for.
func (h *heapSource) tidies(p *Pool) {
	for h.untidy && p.tidy() {
	}
	h.untidy = false
}

// touch makes the pages of a piece resident.
func (h *heapSource) touch(b []byte) {
	for at := uintptr(unsafe.Pointer(&b[0])) &^ (pageBytes - 1); at < uintptr(unsafe.Pointer(&b[0]))+uintptr(len(b)); at += pageBytes {
		h.resident[at] = true
	}
}

// loan is a piece or an extent that a test holds, filled with its number.
type loan struct {
	b      []byte
	extent bool
	n      byte
}

// mark writes the number to one byte in each pieceMin; intact reads them.
func (l *loan) mark() {
	for i := 0; i < len(l.b); i += pieceMin {
		l.b[i] = l.n
	}
}

func (l *loan) intact() bool {
	for i := 0; i < len(l.b); i += pieceMin {
		if l.b[i] != l.n {
			return false
		}
	}
	return true
}

func TestPoolLendsEachByteOnce(t *testing.T) {
	for seed := range uint64(8) {
		src := &heapSource{resident: map[uintptr]bool{}}
		p := newPool(src)
		r := rand.New(rand.NewPCG(seed, 2))
		var loans []*loan
		lent := int64(0)
		back := func(i int) {
			l := loans[i]
			loans = slices.Delete(loans, i, i+1)
			if !l.intact() {
				t.Fatalf("seed %d: somebody else wrote to a piece of %d bytes", seed, len(l.b))
			}
			lent -= int64(cap(l.b))
			if l.extent {
				p.giveExtent(l.b)
			} else {
				p.give(unsafe.Pointer(&l.b[0]), len(l.b))
			}
		}
		for step := range 4000 {
			fall := step%2000 > 1200 // it shrinks for a while
			if len(loans) > 0 && r.IntN(10) < 4+3*btoi(fall) {
				back(r.IntN(len(loans)))
			} else {
				l := &loan{n: byte(step)}
				if r.IntN(6) == 0 {
					l.extent, l.b = true, p.extent(1+r.IntN(1<<(13+r.IntN(8))))
				} else {
					n := pieceMin << r.IntN(pieceSizes)
					l.b = unsafe.Slice((*byte)(p.take(n)), n)
				}
				l.mark()
				src.touch(l.b[:cap(l.b)])
				lent += int64(cap(l.b))
				loans = append(loans, l)
			}
			if r.IntN(4) == 0 {
				src.tidies(p)
			}
			if p.LentBytes() != lent {
				t.Fatalf("seed %d: %d bytes lent, counted %d", seed, lent, p.LentBytes())
			}
			if err := p.check(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if idle := int64(len(src.resident))*pageBytes - lent; idle != p.IdleBytes() {
				t.Fatalf("seed %d, step %d: %d bytes are idle, counted %d", seed, step, idle, p.IdleBytes())
			}
		}
		for len(loans) > 0 {
			back(len(loans) - 1)
		}
		if p.LentBytes() != 0 || p.IdleBytes() > spareMax*chunkBytes || src.large != 0 {
			t.Errorf("seed %d: at the end %d bytes are lent, %d idle, %d mappings are left", seed, p.LentBytes(), p.IdleBytes(), src.large)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// What a pool keeps resident beside what it lends is bounded, also when what comes back
// lies scattered over all chunks: all but the pages of which a part is still lent.
func TestPoolGivesScatteredPiecesBack(t *testing.T) {
	for _, size := range []int{64 << 10, 4 << 10, 2 << 10, 1 << 10} {
		src := &heapSource{resident: map[uintptr]bool{}}
		p := newPool(src)
		var pieces []unsafe.Pointer
		n := 128 << 20 / size
		for range n {
			at := p.take(size)
			src.touch(unsafe.Slice((*byte)(at), size))
			pieces = append(pieces, at)
		}
		kept := int64(0)
		for i, at := range pieces {
			if i%16 != 0 {
				p.give(at, size)
			} else {
				kept += int64(max(size, pageBytes))
			}
		}
		src.tidies(p)
		resident := int64(len(src.resident)) * pageBytes
		if limit := kept + kept/64 + idleMin + spareMax*chunkBytes; resident > limit {
			t.Errorf("of pieces of %d bytes %d are lent and %d resident, at most %d wanted", size, p.LentBytes(), resident, limit)
		}
		if idle := resident - p.LentBytes(); idle != p.IdleBytes() {
			t.Errorf("%d bytes are idle, counted %d", idle, p.IdleBytes())
		}
	}
}

// Stores that are emptied one after the other leave free pages between those of the
// others, in every chunk: to give each back at once were a call of the system per page,
// and kept writers waiting; when the last one is empty, whole chunks are.
func TestEmptyingStoresAsksTheSystemLittle(t *testing.T) {
	const stores, pieces, size = 128, 300, 1 << 10
	src := &heapSource{resident: map[uintptr]bool{}}
	p := newPool(src)
	var has [stores][]unsafe.Pointer
	for range pieces { // all are filled at the same time
		for i := range has {
			at := p.take(size)
			src.touch(unsafe.Slice((*byte)(at), size))
			has[i] = append(has[i], at)
		}
	}
	for i := range has {
		for _, at := range has[i] {
			p.give(at, size)
		}
	}
	src.tidies(p)
	if pages := stores * pieces * size / pageBytes; src.releases > pages/100 {
		t.Errorf("%d calls of the system to give %d pages back", src.releases, pages)
	}
	if p.LentBytes() != 0 || p.IdleBytes() > spareMax*chunkBytes {
		t.Errorf("%d bytes are lent, %d idle", p.LentBytes(), p.IdleBytes())
	}
}

// While the system takes pages, writers come and go, and are lent others.
func TestWhoTidiesKeepsNobodyWaiting(t *testing.T) {
	const size = 2 << 10
	src := &heapSource{resident: map[uintptr]bool{}}
	p := newPool(src)
	var pieces []unsafe.Pointer
	for range 64 << 20 / size {
		at := p.take(size)
		src.touch(unsafe.Slice((*byte)(at), size))
		pieces = append(pieces, at)
	}
	for i, at := range pieces {
		if i%8 != 0 {
			p.give(at, size)
		}
	}
	came := 0
	src.meanwhile = func(b []byte) {
		if !p.mu.TryLock() {
			t.Fatal("the pool is locked while the system works")
		}
		p.mu.Unlock()
		at := p.take(size)
		if from := uintptr(unsafe.Pointer(&b[0])); uintptr(at) >= from && uintptr(at) < from+uintptr(len(b)) {
			t.Fatal("what the system takes is lent")
		}
		src.touch(unsafe.Slice((*byte)(at), size))
		if came++; came%2 == 0 {
			p.give(at, size)
		}
	}
	src.tidies(p)
	if err := p.check(); err != nil || came == 0 {
		t.Errorf("%v, %d calls of the system", err, came)
	}
	if idle := int64(len(src.resident))*pageBytes - p.LentBytes(); idle != p.IdleBytes() {
		t.Errorf("%d bytes are idle, counted %d", idle, p.IdleBytes())
	}
}

func TestNilPoolLendsFromTheHeap(t *testing.T) {
	var p *Pool
	at := p.take(512)
	clear(unsafe.Slice((*byte)(at), 512))
	p.give(at, 512)
	if b := p.extent(5000); len(b) != 5000 || cap(b) != 2*pageBytes {
		t.Errorf("an extent of 5000 bytes has %d of %d", len(b), cap(b))
	}
	if p.LentBytes() != 0 || p.IdleBytes() != 0 {
		t.Error("a nil pool counts")
	}
}
