package image

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"
)

var errRefused = errors.New("refused")

// TestMemoryFails lets a Memory refuse any change of a pass, or make it and say that it did
// not: whoever opens the image next finds every shard as some pass saved it, and a new file
// in the place of the former one, or not at all.
func TestMemoryFails(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range int64(400) {
		r := rand.New(rand.NewSource(seed))
		disk := NewMemory()
		cfg := Config{Path: "image", ID: [16]byte{3}, Shards: modelShards, Disk: disk}
		im, shards := mustOpen(t, cfg), models()
		write(shards, 60)
		pass(t, im, shards, free())
		was := snapshots(shards)
		write(shards, 1+r.Intn(60))
		left := r.Intn(4)
		fails := func(string) error {
			if left--; left < 0 {
				return errRefused
			}
			return nil
		}
		made := seed%2 == 0
		if made {
			disk.After = fails
		} else {
			disk.Before = fails
		}
		err := tryPass(im, shards, seed%3 == 0)
		disk.Before, disk.After = nil, nil
		outcomes[fmt.Sprint(made, err != nil)]++
		again := mustOpen(t, cfg)
		for i, m := range shards {
			l := &loaded{}
			if err := again.Load(uint16(i), l); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !sameCells(l.held, was[i]) && !sameCells(l.held, m.held) {
				t.Fatalf("seed %d: shard %d comes back as no pass saved it", seed, i)
			}
			if err == nil && !sameCells(l.held, m.held) {
				t.Fatalf("seed %d: shard %d comes back without what was saved", seed, i)
			}
		}
	}
	for _, o := range []string{"true true", "false true"} {
		if outcomes[o] == 0 {
			t.Errorf("nothing failed: %v", outcomes)
		}
	}
}

func write(shards []*model, n int) {
	for _, m := range shards {
		m.write(n)
	}
}

func snapshots(shards []*model) (list []map[uint64]cell) {
	for _, m := range shards {
		held := map[uint64]cell{}
		for h, c := range m.held {
			held[h] = c
		}
		list = append(list, held)
	}
	return list
}

// tryPass saves all shards in transactions of a few blocks, in a new image if it says so.
func tryPass(im *Image, shards []*model, anew bool) error {
	to := im
	if anew {
		fresh, err := im.Anew()
		if err != nil {
			return err
		}
		to = fresh
	}
	v, err := to.Begin(free())
	if err != nil {
		return err
	}
	v.batch = 2000
	for i, m := range shards {
		if err := v.Shard(uint16(i), m); err != nil {
			return err
		}
	}
	if err := v.Finish(1); err != nil || !anew {
		return err
	}
	return to.Replace(im)
}

// TestMemoryFlips finds a damaged block, row or index, and only in the shard that it is of.
func TestMemoryFlips(t *testing.T) {
	disk := NewMemory()
	cfg := Config{Path: "image", ID: [16]byte{3}, Shards: modelShards, Disk: disk}
	im, shards := mustOpen(t, cfg), models()
	write(shards, 100)
	pass(t, im, shards, free())
	last := func(shard uint16, value []byte) int {
		if shard != 2 {
			return -1
		}
		return len(value) - 1
	}
	if n := disk.Flip("image", last); n < 3 {
		t.Fatalf("%d flipped", n)
	}
	for id := range shards {
		if err := im.Load(uint16(id), &loaded{}); (err != nil) != (id == 2) {
			t.Errorf("shard %d: %v", id, err)
		}
	}
}
