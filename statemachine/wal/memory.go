package wal

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"slices"
	"sync"
)

// Memory is a directory in memory that knows what a crash may leave of it: tests and the
// simulator put it in the place of a disk.
type Memory struct {
	// Before is asked ahead of every change, by its name ("write", "sync", "create",
	// "cut", "remove", "names"); a write that it refuses is half done. nil = all go well.
	Before func(change, file string) error
	// After is told of every change that was made.
	After func(change string)

	mu    sync.Mutex
	files map[string]*memoryFile // as processes see them
	named map[string]*memoryFile // as the disk has them
	last  *memoryFile            // whose write is under way: it is told to After and has not returned
}

// memoryFile is a file and how much of it is on the disk.
type memoryFile struct {
	fs      *Memory
	name    string
	data    []byte
	durable int // its length when it was last synced
	last    int // where its last write begins
	dropped dropped
}

// dropped is a run of bytes of which a Sync failed: no later one makes them durable.
type dropped struct{ from, to int }

// sync makes durable what is written, or drops it.
func (f *memoryFile) sync(refused error) {
	switch d := &f.dropped; {
	case refused == nil:
		f.durable = len(f.data)
	case d.from == d.to:
		*d = dropped{f.durable, len(f.data)}
	default:
		d.to = len(f.data)
	}
}

// NewMemory is an empty directory.
func NewMemory() *Memory {
	return &Memory{files: map[string]*memoryFile{}, named: map[string]*memoryFile{}}
}

// change makes a change with the lock held, unless it is refused.
func (m *Memory) change(what, name string, do func(refused error) error) error {
	refused := error(nil)
	if m.Before != nil {
		refused = m.Before(what, name)
	}
	m.mu.Lock()
	err := do(refused)
	m.mu.Unlock()
	if err == nil && m.After != nil {
		m.After(what)
	}
	m.mu.Lock()
	m.last = nil
	m.mu.Unlock()
	return err
}

// List implements FS.
func (m *Memory) List() (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sizes := map[string]int64{}
	for name, f := range m.files {
		sizes[name] = int64(len(f.data))
	}
	return sizes, nil
}

// Read implements FS.
func (m *Memory) Read(name string, dst []byte, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return dst, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	b := f.data
	if limit > 0 && int64(len(b)) > limit {
		b = b[:limit]
	}
	return append(dst, b...), nil
}

// Create implements FS.
func (m *Memory) Create(name string) (File, error) {
	f := &memoryFile{fs: m, name: name}
	return f, m.change("create", name, func(refused error) error {
		if refused == nil && m.files[name] != nil {
			refused = fmt.Errorf("%s: %w", name, fs.ErrExist)
		}
		if refused == nil {
			m.files[name] = f
		}
		return refused
	})
}

// Cut implements FS.
func (m *Memory) Cut(name string, size, doubted int64) error {
	return m.change("cut", name, func(refused error) error {
		f := m.files[name]
		if refused == nil && (f == nil || size > int64(len(f.data))) {
			refused = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if refused == nil {
			f.data = f.data[:size]
			f.dropped.to = max(f.dropped.from, min(f.dropped.to, int(doubted)))
			f.durable = len(f.data)
		}
		return refused
	})
}

// Remove implements FS.
func (m *Memory) Remove(name string) error {
	return m.change("remove", name, func(refused error) error {
		if refused == nil {
			delete(m.files, name)
		}
		return refused
	})
}

// SyncNames implements FS.
func (m *Memory) SyncNames() error {
	return m.change("names", "", func(refused error) error {
		if refused == nil {
			m.named = maps.Clone(m.files)
		}
		return refused
	})
}

// Write implements File.
func (f *memoryFile) Write(b []byte) (n int, err error) {
	err = f.fs.change("write", f.name, func(refused error) error {
		if n = len(b); refused != nil {
			n /= 2
		}
		f.last = len(f.data)
		f.data = append(f.data, b[:n]...)
		f.fs.last = f
		return refused
	})
	return n, err
}

// Sync implements File.
func (f *memoryFile) Sync() error {
	return f.fs.change("sync", f.name, func(refused error) error {
		f.sync(refused)
		return refused
	})
}

// Close implements File.
func (f *memoryFile) Close() error { return nil }

// Flip damages one bit of a file, as a disk may.
func (m *Memory) Flip(name string, bit int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name].data[bit/8] ^= 1 << (bit % 8)
}

// Kill is what a process that starts next finds when the one that writes was killed: all
// that was written, the write under way perhaps not to its end.
func (m *Memory) Kill(r *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMemory()
	for name, f := range m.files {
		size := len(f.data)
		if f == m.last {
			size = f.last + r.Intn(size-f.last+1)
		}
		g := &memoryFile{fs: after, name: name, data: slices.Clone(f.data[:size]), durable: min(f.durable, size), dropped: f.dropped}
		after.files[name] = g
		if m.named[name] == f {
			after.named[name] = g
		}
	}
	return after
}

// sector is the unit in which a disk writes, in bytes.
const sector = 512

// PowerCut is what is on the disk when the machine went down: what was synced, and of
// everything else whatever the kernel had written by chance.
func (m *Memory) PowerCut(r *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMemory()
	luck := r.Intn(4)
	for _, name := range slices.Sorted(maps.Keys(union(m.files, m.named))) {
		f := m.files[name]
		if m.named[name] != f && r.Intn(2) == 0 {
			f = m.named[name] // what was done to the name is not on the disk
		}
		if f == nil {
			continue
		}
		data := slices.Clone(f.data[:f.durable])
		if d := f.dropped; d.from < min(d.to, len(data)) {
			clear(data[d.from:min(d.to, len(data))])
		}
		for at := f.durable; at < len(f.data); {
			end := min((at/sector+1)*sector, len(f.data))
			if luck == 0 || luck == 1 && r.Intn(4) == 0 {
				break // nothing from here on
			}
			if luck == 2 || r.Intn(3) > 0 {
				data = append(data, make([]byte, at-len(data))...)
				data = append(data, f.data[at:end]...)
			}
			at = end
		}
		g := &memoryFile{fs: after, name: name, data: data, durable: len(data)}
		after.files[name], after.named[name] = g, g
	}
	return after
}

func union(a, b map[string]*memoryFile) map[string]*memoryFile {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}
