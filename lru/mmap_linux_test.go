//go:build linux && !race

package lru

import (
	"testing"
	"unsafe"
)

func TestMappedMemoryGoesBackToTheSystem(t *testing.T) {
	p := NewPool()
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
	if used < n*pieceMax+20<<20 {
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
