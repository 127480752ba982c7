//go:build linux && !race

package lru

import (
	"fmt"
	"os"
	"strings"
	"testing"
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
