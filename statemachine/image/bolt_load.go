package image

import "fmt"

// Loader takes what an image holds of one shard: Begin, ranges that do not overlap, End.
// Ranges that are not brought are empty. An error of it ends the load.
type Loader interface {
	Begin(r *Row) error
	// Range brings the entries of [lo, hi], valid during the call.
	Range(lo, hi uint64, entries []byte) error
	// End brings the XOR of the digests of all ranges.
	End(digest uint64) error
}

// Load brings a shard, if there is anything of it. An error says that the shard is lost, as
// far as the log does not tell it from its beginning: what was brought is worth nothing.
func (im *Image) Load(shard uint16, to Loader) error {
	from, err := im.From()
	if err == nil {
		err = im.db.View(func(tx tx) error { return loadShard(tx, shard, from, to) })
	}
	if err != nil {
		return fmt.Errorf("%s, shard %d: %w", im.cfg.Path, shard, err)
	}
	return nil
}

// loadShard guards the file piece by piece: a panic of the Loader is not the file's.
func loadShard(tx tx, shard uint16, from uint64, to Loader) error {
	var r *Row
	var index []entry
	err := guard(func() (err error) { r, index, err = read(tx, shard); return err })
	switch {
	case err != nil:
		return err
	case r == nil && from == 0:
		return nil
	case r == nil || r.From.LSN < from:
		return errStale
	}
	if err := to.Begin(r); err != nil {
		return err
	}
	return load(tx, shard, index, to)
}

// loadSweeps is in how many sweeps over a shard its blocks are read. An index that is filled
// from one end is laid out anew again and again at that end: it took a third longer.
const loadSweeps = 16

func load(tx tx, shard uint16, index []entry, to Loader) error {
	var raw []byte
	var digest uint64
	blocks := tx.Bucket(bucketBlocks).Cursor()
	for sweep := range loadSweeps {
		for i := sweep; i < len(index); i += loadSweeps {
			e, hi := &index[i], ^uint64(0)
			if i+1 < len(index) {
				hi = index[i+1].lo - 1
			}
			err := guard(func() (err error) { raw, err = readBlock(blocks, shard, e, raw); return err })
			if err == nil {
				err = to.Range(e.lo, hi, raw)
			}
			if err != nil {
				return fmt.Errorf("%w: the block at %016x: %w", ErrDamaged, e.lo, err)
			}
			digest ^= e.digest
		}
	}
	return to.End(digest)
}

// readBlock gives the bytes of a block. It must be the very one that the index means.
func readBlock(blocks cursor, shard uint16, e *entry, dst []byte) ([]byte, error) {
	key := blockKey(shard, e.lo, e.gen)
	k, b := blocks.Seek(key)
	if string(k) != string(key) {
		return nil, errGone
	}
	return DecodeBlock(key, b, dst)
}

// read gives the row and the index of a shard, nil when the image has none.
func read(tx tx, shard uint16) (*Row, []entry, error) {
	key := shardKey(shard)
	b := tx.Bucket(bucketRows).Get(key)
	if b == nil {
		return nil, nil, nil
	}
	r, err := decodeRow(shard, b)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: its row: %w", ErrDamaged, err)
	}
	index, err := decodeIndex(&r, tx.Bucket(bucketIndex).Get(key))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: its index: %w", ErrDamaged, err)
	}
	return &r, index, nil
}

// Row says what the image holds of a shard; nil when it has none.
func (im *Image) Row(shard uint16) (r *Row, err error) {
	err = im.view(func(tx tx) error {
		b := tx.Bucket(bucketRows).Get(shardKey(shard))
		if b == nil {
			return nil
		}
		d, err := decodeRow(shard, b)
		if r = &d; err != nil {
			r, err = nil, fmt.Errorf("%w: the row of shard %d: %w", ErrDamaged, shard, err)
		}
		return err
	})
	return r, err
}

// UpTo is the LSN up to which the log must be there: it was seen to be durable so far, and
// all that the image holds was before it was saved. What cannot be read says nothing.
func (im *Image) UpTo() (lsn uint64) {
	lsn, _ = im.number(keyDurable)
	for shard := range im.cfg.Shards {
		if r, err := im.Row(uint16(shard)); err == nil && r != nil {
			lsn = max(lsn, r.To.LSN)
		}
	}
	return lsn
}
