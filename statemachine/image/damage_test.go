package image

import (
	"bytes"
	"errors"
	"math/rand"
	"os"
	"testing"
)

// damaged is an image with one pass over full models, its file, and where in it bytes of
// blocks, of indexes and of rows stand.
func damaged(t *testing.T) (cfg Config, shards []*model, file []byte, places [][]int) {
	cfg = modelConfig(t)
	im := mustOpen(t, cfg)
	shards = models()
	for _, m := range shards {
		m.write(600)
	}
	values := map[string][][]byte{}
	v, err := im.Begin(free())
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range shards {
		if err := v.Shard(uint16(i), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range v.puts {
		values[string(c.bucket)] = append(values[string(c.bucket)], c.value)
	}
	if err := errors.Join(v.Finish(1), im.Close()); err != nil {
		t.Fatal(err)
	}
	if file, err = os.ReadFile(cfg.Path); err != nil {
		t.Fatal(err)
	}
	for _, of := range [][]byte{bucketBlocks, bucketIndex, bucketRows} {
		var list []int
		for _, b := range values[string(of)] {
			at := bytes.Index(file, b)
			if at < 0 {
				t.Fatal("a value is not in the file as it was given")
			}
			for i := range b {
				list = append(list, at+i)
			}
		}
		places = append(places, list)
	}
	return cfg, shards, file, places
}

// TestFlippedBitsAreDetected flips one bit inside blocks, indexes and rows, at 200 random
// places: each time the shard that it is of says so, and only that one.
func TestFlippedBitsAreDetected(t *testing.T) {
	cfg, shards, file, places := damaged(t)
	r := rand.New(rand.NewSource(1))
	for i := range 200 {
		list := places[i%len(places)]
		at := list[r.Intn(len(list))]
		lost := lostBy(t, cfg, shards, file, at, byte(1)<<r.Intn(8))
		if lost != 1 {
			t.Errorf("a bit flipped at %d: %d shards say that they are damaged", at, lost)
		}
	}
}

// TestFlippedBitsAnywhere flips bits all over the file, the pages of bbolt included: no
// shard comes back other than it was, and nothing falls.
func TestFlippedBitsAnywhere(t *testing.T) {
	cfg, shards, file, _ := damaged(t)
	r := rand.New(rand.NewSource(2))
	noticed := 0
	for i := range 400 {
		at := r.Intn(len(file))
		if i%4 == 0 {
			at = at/4096*4096 + r.Intn(64) // where bbolt's own figures stand
		}
		if lostBy(t, cfg, shards, file, at, byte(1)<<r.Intn(8)) > 0 {
			noticed++
		}
	}
	if noticed < 40 {
		t.Errorf("%d of 400 flips were noticed; more than that hit something", noticed)
	}
}

// lostBy flips bits of a byte and says how many shards are lost by it: all when the image
// cannot be opened.
func lostBy(t *testing.T, cfg Config, shards []*model, file []byte, at int, bits byte) (lost int) {
	t.Helper()
	b := bytes.Clone(file)
	b[at] ^= bits
	if err := os.WriteFile(cfg.Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	im, err := Open(cfg)
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrForeign) {
			t.Logf("flip at %d: %v", at, err)
		}
		return len(shards)
	}
	defer im.Close()
	for i, m := range shards {
		l := &loaded{}
		switch err := im.Load(uint16(i), l); {
		case err != nil:
			lost++
		case l.held == nil: // it is not there: what was let go of says that it should be
			lost++
		case !sameCells(l.held, m.held) || l.row.To.LSN != m.lsn:
			t.Errorf("flip of %08b at %d: shard %d comes back different", bits, at, i)
		}
	}
	return lost
}

// TestCrashAnywhere cuts the file between any two commits and within one: pages of the
// commit under way are there or not, in any mixture, and the page that makes them count
// is not. What is loaded is what the last whole commit made.
func TestCrashAnywhere(t *testing.T) {
	cfg := modelConfig(t)
	im, shards := mustOpen(t, cfg), models()
	after := cfg
	after.Path += ".crash"
	r := rand.New(rand.NewSource(3))
	type state struct {
		lsn  uint64
		held map[uint64]cell
	}
	saved := make([]state, modelShards) // as the last commit made them
	var before []byte
	commits := 0
	look := func() {
		commits++
		file, err := os.ReadFile(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			torn := mixed(r, before, file)
			if err := os.WriteFile(after.Path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			c := mustOpen(t, after)
			for i := range shards {
				l := &loaded{}
				if err := c.Load(uint16(i), l); err != nil {
					t.Fatalf("commit %d, shard %d: %v", commits, i, err)
				}
				if l.row.To.LSN != saved[i].lsn || !sameCells(l.held, saved[i].held) {
					t.Fatalf("commit %d, shard %d: at %d, the last commit left it at %d", commits, i, l.row.To.LSN, saved[i].lsn)
				}
			}
			pass(t, c, shards, free()) // and it goes on from there
			if err := wantShards(c, shards); err != nil {
				t.Fatalf("commit %d, saved again: %v", commits, err)
			}
			wantBlocks(t, c)
			_ = c.Close()
		}
		before = file
	}
	h := free()
	committed := map[int]state{}
	h.Saved = func(row *Row) { committed[int(row.Shard)] = state{row.To.LSN, shards[row.Shard].copied()} }
	before, _ = os.ReadFile(cfg.Path)
	for range 10 {
		var v *Save
		seen := 0
		h.Pause = func() {
			if v.Commits == seen {
				return
			}
			seen = v.Commits
			look()
			for i, s := range committed {
				saved[i] = s
			}
		}
		var err error
		if v, err = im.Begin(h); err != nil {
			t.Fatal(err)
		}
		v.batch = 4000 // commits within a shard too
		for i, m := range shards {
			m.write(m.r.Intn(120))
			if err := v.Shard(uint16(i), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Finish(1); err != nil {
			t.Fatal(err)
		}
		before, _ = os.ReadFile(cfg.Path)
	}
	if commits < 40 {
		t.Errorf("%d commits", commits)
	}
}

// copied is what the model holds now.
func (m *model) copied() map[uint64]cell {
	held := map[uint64]cell{}
	for h, c := range m.held {
		held[h] = c
	}
	return held
}

// mixed is a file in the middle of a commit: some pages are new, the two that say which
// pages count are old.
func mixed(r *rand.Rand, old, is []byte) []byte {
	const page = 4096
	b := bytes.Clone(is)
	for at := 0; at+page <= len(b) && at+page <= len(old); at += page {
		if at < 2*page || r.Intn(2) == 0 {
			copy(b[at:at+page], old[at:at+page])
		}
	}
	return b
}
