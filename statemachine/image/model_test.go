package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"path/filepath"
	"slices"
	"testing"
)

// model is a copy of a shard: versions and values by hash.
type model struct {
	r      *rand.Rand
	held   map[uint64]cell
	lsn    uint64
	width  uint16
	gone   bool           // it ceases to be one copy at the next Read
	filled bool           // it cannot be saved
	moves  func(m *model) // happens before each Read
}

type cell struct {
	version uint64
	value   []byte
}

const modelPart = 400 // most bytes of a Read, unless one cell is longer

func newModel(seed int64) *model {
	return &model{r: rand.New(rand.NewSource(seed)), held: map[uint64]cell{}, width: 64}
}

// write changes a few cells; some go.
func (m *model) write(n int) {
	for range n {
		m.lsn++
		hash := uint64(m.r.Intn(500)) * 0x9e3779b97f4a7c15
		if m.r.Intn(5) == 0 {
			delete(m.held, hash)
			continue
		}
		value := make([]byte, m.r.Intn(60))
		if m.r.Intn(2) == 0 {
			m.r.Read(value)
		}
		m.held[hash] = cell{m.lsn, value}
	}
}

func (m *model) within(lo, hi uint64) (hashes []uint64) {
	for h := range m.held {
		if h >= lo && h <= hi {
			hashes = append(hashes, h)
		}
	}
	slices.Sort(hashes)
	return hashes
}

func cellDigest(hash, version uint64) uint64 { return hash*31 ^ version*0x100000001b3 }

func (m *model) digest(lo, hi uint64) (d uint64) {
	for _, h := range m.within(lo, hi) {
		d ^= cellDigest(h, m.held[h].version)
	}
	return d
}

func (m *model) Begin(uint16) (Row, bool) {
	return Row{Copy: 7, From: Standing{LSN: m.lsn, Position: m.lsn}, Width: m.width}, !m.filled
}

func (m *model) Needs(former *Row) bool { return former.Copy == 7 }

func (m *model) Read(lo, hi uint64, compare bool, digest uint64, dst []byte) ([]byte, uint64, bool, bool) {
	if m.moves != nil {
		m.moves(m)
	}
	if m.gone {
		return dst, hi, false, false
	}
	if compare && m.digest(lo, hi) == digest {
		return dst, hi, true, true
	}
	for i, h := range m.within(lo, hi) {
		c := m.held[h]
		if i > 0 && len(dst)+20+len(c.value) > modelPart {
			return dst, h - 1, false, true
		}
		dst = binary.BigEndian.AppendUint64(dst, h)
		dst = binary.BigEndian.AppendUint64(dst, c.version)
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(c.value))), c.value...)
	}
	return dst, hi, false, true
}

func (m *model) Digest(b []byte) (d uint64) {
	eachCell(b, func(h uint64, c cell) { d ^= cellDigest(h, c.version) })
	return d
}

func (m *model) End(r *Row) bool {
	r.To = Standing{LSN: m.lsn, Position: m.lsn}
	r.Digest = m.digest(0, ^uint64(0))
	return !m.gone
}

func eachCell(b []byte, visit func(h uint64, c cell)) {
	for len(b) > 0 {
		n := 20 + int(binary.BigEndian.Uint32(b[16:]))
		visit(binary.BigEndian.Uint64(b), cell{binary.BigEndian.Uint64(b[8:]), slices.Clone(b[20:n])})
		b = b[n:]
	}
}

// loaded is a Loader.
type loaded struct {
	row  Row
	held map[uint64]cell
}

func (l *loaded) Begin(r *Row) error {
	l.row, l.held = *r, map[uint64]cell{}
	return nil
}

var errOutside = errors.New("an entry outside its range")

func (l *loaded) Range(lo, hi uint64, b []byte) (err error) {
	eachCell(b, func(h uint64, c cell) {
		if _, twice := l.held[h]; twice || h < lo || h > hi {
			err = errOutside
		}
		l.held[h] = c
	})
	return err
}

func (l *loaded) End(digest uint64) error {
	d := uint64(0)
	for h, c := range l.held {
		d ^= cellDigest(h, c.version)
	}
	if d != digest {
		return errors.New("the digests differ")
	}
	return nil
}

func sameCells(a, b map[uint64]cell) bool {
	return maps.EqualFunc(a, b, func(x, y cell) bool { return x.version == y.version && string(x.value) == string(y.value) })
}

const modelShards = 4

func modelConfig(t testing.TB) Config {
	return Config{Path: filepath.Join(t.TempDir(), "image.db"), ID: [16]byte{3}, Shards: modelShards, NoSync: true}
}

func mustOpen(t testing.TB, cfg Config) *Image {
	t.Helper()
	im, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = im.Close() })
	return im
}

func free() Hooks {
	return Hooks{Durable: func(uint64) error { return nil }, Saved: func(*Row) {}, Pause: func() {}}
}

// pass saves all shards.
func pass(t testing.TB, im *Image, shards []*model, h Hooks) Counts {
	t.Helper()
	v, err := im.Begin(h)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range shards {
		if err := v.Shard(uint16(i), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Finish(1); err != nil {
		t.Fatal(err)
	}
	return v.Counts
}

func models() (list []*model) {
	for i := range modelShards {
		list = append(list, newModel(int64(i)))
	}
	return list
}

// wantShards loads every shard and compares it.
func wantShards(im *Image, shards []*model) error {
	for i, m := range shards {
		l := &loaded{}
		if err := im.Load(uint16(i), l); err != nil {
			return err
		}
		if !sameCells(l.held, m.held) || l.row.To.LSN != m.lsn {
			return fmt.Errorf("shard %d comes back at %d with %d cells, it is at %d with %d", i, l.row.To.LSN, len(l.held), m.lsn, len(m.held))
		}
	}
	return nil
}
