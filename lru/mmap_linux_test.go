//go:build linux && !race

package lru

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestMappedMemoryGoesBackToTheSystem(t *testing.T) {
	p := NewPool(0)
	before := residentBytes()
	const n = 256
	var pieces []unsafe.Pointer
	for range n {
		at := p.take(pieceMax)
		b := unsafe.Slice((*byte)(at), pieceMax)
		for i := 0; i < len(b); i += pageBytes {
			b[i] = 1
		}
		pieces = append(pieces, at)
	}
	large := p.extent(20 << 20)
	for i := 0; i < len(large); i += pageBytes {
		large[i] = 1
	}
	used := residentBytes() - before
	if used < n*pieceMax+20<<20-1<<20 { // the system counts some dozens of pages late
		t.Fatalf("%d bytes are resident of %d written", used, n*pieceMax+20<<20)
	}
	for _, at := range pieces {
		p.give(at, pieceMax)
	}
	p.giveExtent(large)
	kept := residentBytes() - before
	if most := int64((spareMax+aheadMax+1)*chunkBytes) + 2<<20; kept > most {
		t.Errorf("%d bytes stay resident of %d, at most %d wanted", kept, used, most)
	}
	p.take(pieceMax)
	p.extent(20 << 20)
	addresses := procBytes("/proc/self/status", "VmSize:")
	p.Close()
	p.Close() // once more is nothing
	if freed := addresses - procBytes("/proc/self/status", "VmSize:"); freed < arenaBytes+20<<20 {
		t.Errorf("Close gave %d bytes of addresses back", freed)
	}
	if kept := residentBytes() - before; kept > 2<<20 {
		t.Errorf("%d bytes stay resident after Close", kept)
	}
}

// hugeBytesAt is how much of the mapping around an address lies in huge pages.
func hugeBytesAt(address uintptr) (n int64) {
	smaps, _ := os.ReadFile("/proc/self/smaps")
	around := false
	for line := range strings.Lines(string(smaps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err == nil {
			around = from <= address && address < to
		}
		if rest, ok := strings.CutPrefix(line, "AnonHugePages:"); ok && around {
			_, _ = fmt.Sscan(rest, &n)
			return n << 10
		}
	}
	return 0
}

// Filling, emptying and filling again asks for no more addresses, and what came back
// lies in small pages until the goroutine has touched it ahead: a huge one that a SET
// touches first keeps it for 0.2 ms and more.
func TestChunksThatCameBackAreLentAgain(t *testing.T) {
	p := NewPool(0)
	defer p.Close()
	m := p.src.(*mapped)
	arenas := 0
	for round := range 4 {
		var pieces []unsafe.Pointer
		for range 2048 {
			pieces = append(pieces, p.take(pieceMax))
		}
		for _, at := range pieces {
			p.give(at, pieceMax)
		}
		m.mu.Lock()
		if round == 0 {
			arenas = len(m.arenas)
		}
		if n := len(m.arenas); n > arenas+1 { // one more for what is touched ahead meanwhile
			t.Errorf("round %d: %d arenas, %d after the first one", round, n, arenas)
		}
		if len(m.idle) == 0 {
			t.Fatal("no chunk came back")
		}
		b := m.idle[0]
		m.idle = m.idle[1:]
		m.mu.Unlock()
		b[0] = 1
		if n := hugeBytesAt(uintptr(unsafe.Pointer(&b[0]))); n > 0 {
			t.Errorf("round %d: the first touch of a chunk that came back brought %d bytes of huge pages", round, n)
		}
		m.retire(b)
	}
}

// TestNothingIsTouchedAheadOfAFullPool: what its stores will never ask for stays untouched.
func TestNothingIsTouchedAheadOfAFullPool(t *testing.T) {
	const chunks = 8
	p := NewPool(chunks * chunkBytes)
	defer p.Close()
	for range chunks * (chunkBytes / pieceMax) {
		p.take(pieceMax)
	}
	m := p.src.(*mapped)
	for range 2 { // the second is sent when the first has been looked at
		m.wake <- struct{}{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.ahead); n > 1 { // one may have been under way while a store took another
		t.Errorf("%d chunks are kept ready beside %d that are all there should be", n, chunks)
	}
}

// quickest is the shortest of many calls, which no other process made longer.
func quickest(calls int, call func()) time.Duration {
	least := time.Duration(1 << 62)
	for range calls {
		begin := time.Now()
		call()
		least = min(least, time.Since(begin))
	}
	return least
}

// TestAnExtentCostsTheSameInALargePool: with a hole of four pages in every chunk, a value
// that fits into none of them was looked for in all of them, under the pool's mutex: 0.9 ms
// in a pool of 4 GiB. So was the chunk to give pages back of.
func TestAnExtentCostsTheSameInALargePool(t *testing.T) {
	cost := func(chunks int) time.Duration {
		p := NewPool(0)
		defer p.Close()
		for range chunks * (chunkBytes / extentMax) {
			p.extent(extentMax - pageBytes)
		}
		return quickest(2000, func() { p.giveExtent(p.extent(8 * pageBytes)) })
	}
	small, large := cost(8), cost(4096) // of 16 GiB, which nobody touches
	if large > 8*small+10*time.Microsecond {
		t.Errorf("an extent is lent and taken back in %v with 4096 chunks, in %v with 8", large, small)
	}
}

// mappings is how many the process has.
func mappings() int {
	b, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(b), "\n")
}

// TestLargeValuesTakeNoMappingsOfTheirOwn: the system allows 65,530 of them.
func TestLargeValuesTakeNoMappingsOfTheirOwn(t *testing.T) {
	p := NewPool(0)
	defer p.Close()
	before := mappings()
	var extents [][]byte
	const n = 600
	for i := range n {
		b := p.extent(extentMax + 1 + i*pageBytes)
		b[0], b[len(b)-1] = 1, 1
		extents = append(extents, b)
	}
	for i := 0; i < n; i += 2 { // neighbours of one kind count as one
		p.giveExtent(extents[i])
	}
	if more := mappings() - before; more > n/20 {
		t.Errorf("%d large values brought %d mappings", n/2, more)
	}
	for i := 1; i < n; i += 2 {
		if b := extents[i]; b[0] != 1 || b[len(b)-1] != 1 {
			t.Fatalf("extent %d was lent twice", i)
		}
	}
}

// TestSlotsAreReusedAndEmpty: what a large value leaves goes back to the system at once,
// and its addresses serve the next one.
func TestSlotsAreReusedAndEmpty(t *testing.T) {
	p := NewPool(0)
	defer p.Close()
	resident, regions := residentBytes(), 0
	for round := range 8 {
		var extents [][]byte
		for _, n := range []int{extentMax + 1, 3 << 20, 20<<20 + 5, ValueBytesMax} {
			b := p.extent(n)
			for i := 0; i < len(b); i += pageBytes {
				b[i] = 1
			}
			extents = append(extents, b)
		}
		for _, b := range extents {
			p.giveExtent(b)
		}
		if n := len(p.src.(*mapped).arenas); round == 0 {
			regions = n
		} else if n != regions {
			t.Fatalf("round %d: %d regions of addresses, %d after the first one", round, n, regions)
		}
	}
	if kept := residentBytes() - resident; kept > 4<<20 {
		t.Errorf("%d bytes stay resident", kept)
	}
	for n := extentMax + 1; n <= ValueBytesMax; n += 123_457 {
		if size := slotBytes(n); size < n || size > n+n/4+1 {
			t.Fatalf("an extent of %d bytes has a slot of %d", n, size)
		}
	}
}

// TestWhatIsPreparedCountsAsIdle: it is resident, and INFO memory has to say so.
func TestWhatIsPreparedCountsAsIdle(t *testing.T) {
	p := NewPool(0)
	defer p.Close()
	p.take(pieceMax) // wakes the goroutine
	m := p.src.(*mapped)
	for prepared := int64(0); prepared < chunkBytes; prepared = m.prepared() {
		runtime.Gosched()
	}
	if idle := p.IdleBytes(); idle < chunkBytes {
		t.Errorf("%d bytes are idle, and a chunk is prepared", idle)
	}
}
