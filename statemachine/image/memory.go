package image

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// Memory is a Disk in memory, for tests and the simulator. It belongs to one goroutine.
type Memory struct {
	// Before is asked ahead of every change, by its name ("update", "rename", "remove"), and
	// After is told of it: an error of Before refuses the change, one of After hides that it
	// was made. Either may let time pass, in which its caller dies. nil = all goes well.
	Before, After func(change string) error

	images map[string]*memoryStore
}

// NewMemory is a disk without images.
func NewMemory() *Memory { return &Memory{images: map[string]*memoryStore{}} }

// change makes a change, unless it is refused.
func (m *Memory) change(what string, do func()) error {
	if m.Before != nil {
		if err := m.Before(what); err != nil {
			return err
		}
	}
	do()
	if m.After != nil {
		return m.After(what)
	}
	return nil
}

func (m *Memory) open(path string) (store, error) {
	if m.images[path] == nil {
		m.images[path] = &memoryStore{disk: m, buckets: map[string]*memoryBucket{}}
	}
	return m.images[path], nil
}

func (m *Memory) remove(path string) error {
	return m.change("remove", func() { delete(m.images, path) })
}

func (m *Memory) rename(from, to string) error {
	if m.images[from] == nil {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	return m.change("rename", func() {
		m.images[to] = m.images[from]
		delete(m.images, from)
	})
}

func (m *Memory) keep(string) error { return nil }

func (m *Memory) bytes(path string) (n int64) {
	if s := m.images[path]; s != nil {
		for _, b := range s.buckets {
			for key, value := range b.values {
				n += int64(len(key) + len(value))
			}
		}
	}
	return n
}

// Flip damages a bit of blocks, rows and indexes, as a disk may: at says of what is stored
// of a shard which byte is hit, -1 = none. It says how many were.
func (m *Memory) Flip(path string, at func(shard uint16, value []byte) int) (flipped int) {
	s := m.images[path]
	if s == nil {
		return 0
	}
	for _, name := range [][]byte{bucketRows, bucketIndex, bucketBlocks} {
		b := s.buckets[string(name)]
		for _, key := range b.keys {
			v := b.values[key]
			if i := at(binary.BigEndian.Uint16([]byte(key)), v); i >= 0 {
				v = slices.Clone(v)
				v[i] ^= 1
				b.values[key] = v
				flipped++
			}
		}
	}
	return flipped
}

// memoryStore is an image.
type memoryStore struct {
	disk    *Memory
	buckets map[string]*memoryBucket
}

type memoryBucket struct {
	keys   []string // in their order
	values map[string][]byte
}

// View implements store.
func (s *memoryStore) View(read func(tx tx) error) error { return read(&memoryTx{s: s}) }

// Update implements store.
func (s *memoryStore) Update(write func(tx tx) error) error {
	t := &memoryTx{s: s}
	if err := write(t); err != nil {
		return err
	}
	return s.disk.change("update", func() {
		for _, do := range t.changes {
			do()
		}
	})
}

// Close implements store.
func (*memoryStore) Close() error { return nil }

// memoryTx collects what an update changes.
type memoryTx struct {
	s       *memoryStore
	changes []func()
}

// Bucket implements tx.
func (t *memoryTx) Bucket(name []byte) bucket {
	if b := t.s.buckets[string(name)]; b != nil {
		return openBucket{t, b}
	}
	return nil
}

// Create implements tx. It is there at once, and empty, which nobody can tell from none.
func (t *memoryTx) Create(name []byte) error {
	if t.s.buckets[string(name)] == nil {
		t.s.buckets[string(name)] = &memoryBucket{values: map[string][]byte{}}
	}
	return nil
}

// Empty implements tx.
func (t *memoryTx) Empty() bool {
	for b := range maps.Values(t.s.buckets) { // order has no effect
		if len(b.keys) > 0 {
			return false
		}
	}
	return true
}

// openBucket is a bucket in a transaction.
type openBucket struct {
	t *memoryTx
	b *memoryBucket
}

// Get implements bucket.
func (o openBucket) Get(key []byte) []byte { return o.b.values[string(key)] }

// Put implements bucket.
func (o openBucket) Put(key, value []byte) error {
	k := string(key)
	o.t.changes = append(o.t.changes, func() {
		if at, found := slices.BinarySearch(o.b.keys, k); !found {
			o.b.keys = slices.Insert(o.b.keys, at, k)
		}
		o.b.values[k] = value
	})
	return nil
}

// Delete implements bucket.
func (o openBucket) Delete(key []byte) error {
	k := string(key)
	o.t.changes = append(o.t.changes, func() {
		if at, found := slices.BinarySearch(o.b.keys, k); found {
			o.b.keys = slices.Delete(o.b.keys, at, at+1)
			delete(o.b.values, k)
		}
	})
	return nil
}

// Cursor implements bucket.
func (o openBucket) Cursor() cursor { return &memoryCursor{b: o.b} }

type memoryCursor struct {
	b  *memoryBucket
	at int
}

// Seek implements cursor.
func (c *memoryCursor) Seek(key []byte) (k, v []byte) {
	c.at, _ = slices.BinarySearch(c.b.keys, string(key))
	return c.here()
}

// Next implements cursor.
func (c *memoryCursor) Next() (k, v []byte) {
	c.at++
	return c.here()
}

func (c *memoryCursor) here() (k, v []byte) {
	if c.at >= len(c.b.keys) {
		return nil, nil
	}
	key := c.b.keys[c.at]
	return []byte(key), c.b.values[key]
}
