package image

import (
	"errors"
	"fmt"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Source is a copy of a shard that is being saved. It is asked from one goroutine while
// the copy changes; none of its answers may take long.
type Source interface {
	// Begin notes where the copy stands. width is how many ranges a block had in the last
	// image, 0 = there is none. false: it cannot be saved now.
	Begin(width uint16) (r Row, ok bool)
	// Needs says of a copy that could not be saved whether a restart may need a former row
	// of it. false: it never will.
	Needs(former *Row) bool
	// Read appends the entries of [lo, hi], as many as fit, and says up to where. It appends
	// none, and answers same, when it is asked to compare and the digest of them all is this.
	Read(lo, hi uint64, compare bool, digest uint64, dst []byte) (b []byte, end uint64, same, ok bool)
	// Digest is the digest of entries that Read gave.
	Digest(entries []byte) uint64
	// End completes the row. false: what was read is not of one state with the log.
	End(r *Row) (ok bool)
}

// Hooks are what a Save needs of its surroundings.
type Hooks struct {
	// Durable waits until the log is durable up to an LSN: an image never holds more.
	Durable func(lsn uint64) error
	// Saved tells that a row is durable.
	Saved func(r *Row)
	// Pause is called after every piece of work, to let others have the machine.
	Pause func()
}

// Counts say what a Save did.
type Counts struct {
	Shards, Abandoned int
	Kept, Written     int   // blocks
	Bytes             int64 // of the blocks written, as stored
	Commits           int
}

// Save is one pass over the shards of a node.
type Save struct {
	im    *Image
	hooks Hooks
	gen   uint64
	puts  []change
	dels  [][]byte // blocks
	gone  []uint16 // shards
	rows  []Row
	bytes int
	upTo  uint64
	raw   []byte
	batch int // bytes that are written in one transaction
	Counts
}

// change is a value that goes into a bucket.
type change struct{ bucket, key, value []byte }

// batchBytes bounds what a transaction writes, and what waits for one in memory.
const batchBytes = 4 << 20

// Begin begins a pass.
func (im *Image) Begin(h Hooks) (*Save, error) {
	gen, err := im.number(keyGeneration)
	if err != nil {
		return nil, err
	}
	return &Save{im: im, hooks: h, gen: gen + 1, batch: batchBytes}, nil
}

// Shard saves what of a shard is not in the image as it is. A damaged part of the image is
// written anew. The row is durable once Saved was told of it.
func (v *Save) Shard(shard uint16, src Source) error {
	old, err := v.open(shard)
	if err != nil {
		return err
	}
	row, ok := src.Begin(old.width)
	if !ok {
		return v.former(shard, src)
	}
	row.Shard = shard
	kept := old.index // also of another width: what it holds is compared, not where it is cut
	n := &next{v: v, shard: shard, src: src}
	for lo, step := uint64(0), uint64(row.Width)<<rangeShift; ; lo += step {
		var part []entry
		part, kept = cut(kept, lo+step-1)
		if err := n.block(lo, lo+step-1, part); err != nil {
			return err
		}
		if n.failed || lo+step == 0 { // over the last range
			break
		}
	}
	if n.failed || !src.End(&row) {
		v.Abandoned++
		v.dels = append(v.dels, n.fresh...)
		return nil
	}
	v.replace(&row, old.index, n.index)
	v.hooks.Pause()
	if v.bytes >= v.batch {
		return v.Flush()
	}
	return nil
}

// former gives up a shard whose row would be left behind in the file that this one is to
// replace, while the copy's log leads on from there.
func (v *Save) former(shard uint16, src Source) error {
	if v.im.former == nil {
		return nil
	}
	row, err := v.im.former.Row(shard)
	switch {
	case errors.Is(err, ErrDamaged): // nothing leads on from what cannot be loaded
		return nil
	case err == nil && row != nil && src.Needs(row):
		v.Abandoned++
	}
	return err
}

// had is what the image has of a shard.
type had struct {
	index []entry
	width uint16
}

// open reads what the image has of a shard, and lets go of what nothing names any more.
func (v *Save) open(shard uint16) (f had, err error) {
	err = v.im.view(func(tx tx) error {
		if r, index, err := read(tx, shard); err == nil && r != nil {
			f = had{index, r.Width}
		} // else whatever is left of it is swept
		if v.im.swept[shard] && f.width != 0 {
			return nil
		}
		v.dels = append(v.dels, strays(tx, shard, f.index)...)
		return nil
	})
	v.im.swept[shard] = true
	return f, err
}

// strays lists the blocks of a shard that its index does not name: a pass did not come to
// its end.
func strays(tx tx, shard uint16, index []entry) (keys [][]byte) {
	known := make(map[string]bool, len(index))
	for _, e := range index {
		known[string(blockKey(shard, e.lo, e.gen))] = true
	}
	c := tx.Bucket(bucketBlocks).Cursor()
	prefix := shardKey(shard)
	for k, _ := c.Seek(prefix); len(k) >= len(prefix) && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		if !known[string(k)] {
			keys = append(keys, append([]byte(nil), k...))
		}
	}
	return keys
}

// cut takes the entries up to hi off an index.
func cut(index []entry, hi uint64) (part, rest []entry) {
	n := 0
	for n < len(index) && index[n].lo <= hi {
		n++
	}
	return index[:n], index[n:]
}

// next is the index that is being made of a shard.
type next struct {
	v      *Save
	shard  uint16
	src    Source
	index  []entry
	fresh  [][]byte // keys of blocks that only this index names
	failed bool
}

// block keeps the blocks of [lo, hi] when they hold what the copy holds, or writes new ones.
func (n *next) block(lo, hi uint64, have []entry) error {
	digest := uint64(0)
	for i := range have {
		digest ^= have[i].digest
	}
	for compare := true; ; compare = false {
		b, end, same, ok := n.src.Read(lo, hi, compare, digest, n.v.raw[:0])
		n.v.raw = b
		if n.failed = !ok; n.failed {
			return nil
		}
		if same {
			n.index = append(n.index, have...)
			n.v.Kept += len(have)
			return nil
		}
		if len(b) > 0 {
			n.put(lo, b)
		}
		n.v.hooks.Pause()
		if n.v.bytes >= n.v.batch {
			if err := n.v.Flush(); err != nil {
				return err
			}
		}
		if end == hi {
			return nil
		}
		lo = end + 1
	}
}

func (n *next) put(lo uint64, raw []byte) {
	key := blockKey(n.shard, lo, n.v.gen)
	b := EncodeBlock(key, raw)
	n.index = append(n.index, entry{lo: lo, gen: n.v.gen, digest: n.src.Digest(raw), size: uint32(len(b))})
	n.fresh = append(n.fresh, key)
	n.v.put(bucketBlocks, key, b)
	n.v.Written++
	n.v.Bytes += int64(len(b))
}

func (v *Save) put(bucket, key, value []byte) {
	v.puts = append(v.puts, change{bucket, key, value})
	v.bytes += len(value)
}

// replace puts an index and its row in the place of the former ones.
func (v *Save) replace(r *Row, was, is []entry) {
	kept := make(map[entry]bool, len(is))
	for _, e := range is {
		kept[e] = true
		r.Bytes += uint64(e.size)
	}
	changed := len(was) != len(is)
	for _, e := range was {
		if !kept[e] {
			changed = true
			v.dels = append(v.dels, blockKey(r.Shard, e.lo, e.gen))
		}
	}
	b := encodeIndex(r.Shard, is)
	r.Blocks, r.indexSum = uint32(len(is)), sumOf(b)
	if changed || len(is) == 0 {
		v.put(bucketIndex, shardKey(r.Shard), b)
	}
	v.put(bucketRows, shardKey(r.Shard), encodeRow(r))
	v.rows = append(v.rows, *r)
	v.upTo = max(v.upTo, r.To.LSN)
	v.Shards++
}

// Forget removes a shard that is nobody's any more.
func (v *Save) Forget(shard uint16) error {
	return v.im.view(func(tx tx) error {
		if tx.Bucket(bucketRows).Get(shardKey(shard)) != nil {
			v.gone = append(v.gone, shard)
			v.dels = append(v.dels, strays(tx, shard, nil)...)
		}
		return nil
	})
}

// Flush writes what has come together in one transaction, once the log is durable up to
// where the rows in it stand.
func (v *Save) Flush() error {
	if len(v.puts)+len(v.dels)+len(v.gone) == 0 {
		return nil
	}
	if len(v.rows) > 0 && !mutant.Is("image-ahead-of-the-log") {
		if err := v.hooks.Durable(v.upTo); err != nil {
			return err
		}
	}
	if err := guard(func() error { return v.im.db.Update(v.write) }); err != nil {
		return fmt.Errorf("write %s: %w", v.im.cfg.Path, err)
	}
	v.Commits++
	for i := range v.rows {
		v.hooks.Saved(&v.rows[i])
	}
	v.puts, v.dels, v.gone, v.rows, v.bytes = nil, nil, nil, nil, 0
	v.hooks.Pause()
	return nil
}

func (v *Save) write(tx tx) error {
	for _, c := range v.puts {
		if err := tx.Bucket(c.bucket).Put(c.key, c.value); err != nil {
			return err
		}
	}
	for _, key := range v.dels {
		if err := tx.Bucket(bucketBlocks).Delete(key); err != nil {
			return err
		}
	}
	for _, shard := range v.gone {
		for _, bucket := range [][]byte{bucketRows, bucketIndex} {
			if err := tx.Bucket(bucket).Delete(shardKey(shard)); err != nil {
				return err
			}
		}
	}
	return tx.Bucket(bucketHead).Put(keyGeneration, encodeNumber(keyGeneration, v.gen))
}

// Finish ends a pass over all shards at a wall time, unix ms.
func (v *Save) Finish(now int64) error {
	if err := v.Flush(); err != nil {
		return err
	}
	return v.im.setNumber(keySaved, uint64(now))
}
