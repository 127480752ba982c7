//go:build linux && !race

package lru

import (
	"math/bits"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// The edge of this package: the only file that calls the system, and the only one
// with a goroutine. A huge page costs the kernel 0.2 ms when it is lucky and 4 ms
// when it is not, which no SET should pay; so the goroutine touches chunks ahead,
// and a store that is faster than it gets one of small pages, 2 us each. Addresses are
// kept from huge pages until the goroutine asks for them, those of a chunk that came
// back as well.

// mapped is memory that the Go runtime knows nothing of.
type mapped struct {
	mu     sync.Mutex
	arenas [][]byte         // for the end
	rest   []byte           // of the last arena
	idle   [][]byte         // chunks that came back
	ahead  [][]byte         // resident chunks
	given  int64            // bytes of chunks that there are
	most   int64            // of them, as far as they are touched ahead; 0 = no bound
	slots  map[int][][]byte // for large extents, by size: those that are free
	region []byte           // what is left of the addresses for slots
	tidy   func() bool      // Pool's
	wake   chan struct{}
	ended  chan struct{} // closed when the goroutine has ended
	closed bool
}

const (
	arenaBytes  = 64 << 20  // addresses are taken from the system in this size
	regionBytes = 256 << 20 // and those for large extents in this one
	aheadMax    = 4         // chunks
	hugePage    = 2 << 20   // bytes
	restMax     = 5 * time.Millisecond

	madvHugepage      = 14
	madvNoHugepage    = 15
	madvPopulateWrite = 23 // since Linux 5.14
)

// NewPool makes a pool outside the Go heap, which lasts until Close. Its stores are going
// to take mostBytes together, 0 = unknown: beyond that nothing is touched ahead, which a
// full node of 64 MiB would hold 16 MiB of for nothing. (To end it when it cannot be
// reached any more was refused: memory that the collector does not see does not make it
// run.)
func NewPool(mostBytes int64) *Pool {
	m := &mapped{most: mostBytes, wake: make(chan struct{}, 1), ended: make(chan struct{}), slots: make(map[int][][]byte)}
	p := newPool(m)
	m.tidy = p.tidy
	go m.work()
	return p
}

// mmap gets n bytes of addresses; the system has none left only when the machine
// is misconfigured (MappingsMax), and nothing can go on then.
func mmap(n int) []byte {
	at, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, uintptr(n), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE, ^uintptr(0), 0)
	if errno != 0 {
		panic("lru: mmap of store memory: " + errno.Error())
	}
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), n)
}

// munmap ends a mapping that was made by mmap.
func munmap(b []byte) {
	_, _, _ = syscall.Syscall(syscall.SYS_MUNMAP, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0)
}

func (m *mapped) chunk() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.idle); n > 0 {
		b := m.idle[n-1]
		m.idle = m.idle[:n-1]
		return b
	}
	if len(m.rest) < chunkBytes {
		arena := mmap(arenaBytes + chunkBytes)
		_ = syscall.Madvise(arena, madvNoHugepage)
		m.arenas = append(m.arenas, arena)
		skip := -uintptr(unsafe.Pointer(&arena[0])) % chunkBytes
		m.rest = arena[skip : skip+arenaBytes]
	}
	b := m.rest[:chunkBytes:chunkBytes]
	m.rest = m.rest[chunkBytes:]
	m.given += chunkBytes
	return b
}

func (m *mapped) ready() (b []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.ahead); n > 0 {
		b, m.ahead = m.ahead[n-1], m.ahead[:n-1]
	}
	if len(m.ahead) < aheadMax/2 { // to wake a thread costs 50 us
		m.rouse()
	}
	return b, b != nil
}

func (m *mapped) later() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rouse()
}

// rouse wakes the goroutine. The caller holds m.mu.
func (m *mapped) rouse() {
	if m.closed {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mapped) prepared() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.ahead)) * chunkBytes
}

// work touches chunks ahead and gives free pages back until the pool is closed.
func (m *mapped) work() {
	defer close(m.ended)
	for range m.wake {
		for more := true; more; {
			if m.short() {
				m.prepare()
			} else {
				more = !m.ending() && m.tidy()
			}
		}
	}
}

func (m *mapped) ending() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// prepare touches one chunk ahead. After each huge page it rests for as long as that took:
// the kernel lets nobody else have the core meanwhile, and several in a row (12 MiB, 18 ms of
// a virtual machine whose memory is fresh too) made calls of all clients wait for milliseconds.
func (m *mapped) prepare() {
	b := m.chunk()
	_ = syscall.Madvise(b, madvHugepage) // a kernel without huge pages does without
	for i := 0; i < len(b); i += hugePage {
		begun := time.Now()
		touch(b[i : i+hugePage])
		time.Sleep(min(time.Since(begun), restMax))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead = append(m.ahead, b)
}

// touch makes memory resident.
func touch(b []byte) {
	if syscall.Madvise(b, madvPopulateWrite) != nil {
		for i := 0; i < len(b); i += pageBytes {
			b[i] = 0
		}
	}
}

// short says whether another chunk should be prepared.
func (m *mapped) short() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && len(m.ahead) < aheadMax && (m.most == 0 || m.given-int64(len(m.idle))*chunkBytes < m.most)
}

// close ends the goroutine and gives everything back.
func (m *mapped) close() {
	m.mu.Lock()
	was := m.closed
	m.closed = true
	m.mu.Unlock()
	if was {
		return
	}
	close(m.wake)
	<-m.ended
	for _, b := range m.arenas {
		munmap(b)
	}
}

func (m *mapped) release(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }

func (m *mapped) retire(b []byte) {
	m.release(b)
	_ = syscall.Madvise(b, madvNoHugepage)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, b)
}

// mapping takes a slot of addresses. A large extent was a mapping of its own once, and the
// system allows a process 65,530 of them: values of 1 MiB reached that at 65 GiB. Slots
// come in four sizes per doubling and are kept, so no address is looked for and no
// munmap can fail; what is not used of them, and free ones, are addresses and no memory.
func (m *mapped) mapping(n int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := slotBytes(n)
	if free := m.slots[size]; len(free) > 0 {
		b := free[len(free)-1]
		m.slots[size] = free[:len(free)-1]
		return b[:n:n]
	}
	if len(m.region) < size {
		m.region = mmap(regionBytes)
		_ = syscall.Madvise(m.region, madvNoHugepage) // one would reach into the next slot
		m.arenas = append(m.arenas, m.region)
	}
	b := m.region[:n:n]
	m.region = m.region[size:]
	return b
}

// slotBytes is the size of the slot for an extent of n bytes.
func slotBytes(n int) int {
	step := 1 << (bits.Len(uint(n-1)) - 3) // n is in (4 step, 8 step]
	return (n + step - 1) &^ (step - 1)
}

func (m *mapped) unmap(b []byte) {
	m.release(b)
	size := slotBytes(len(b))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slots[size] = append(m.slots[size], b)
}
