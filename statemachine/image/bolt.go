package image

import (
	"errors"
	"fmt"
)

// The file:
//
//	head    "head" -> head | "from", "durable", "saved", "generation" -> a number with its sum
//	rows    shard u16 -> row
//	index   shard u16 -> index
//	blocks  shard u16 | lo u64 | generation u64 -> block
var (
	bucketHead   = []byte("head")
	bucketRows   = []byte("rows")
	bucketIndex  = []byte("index")
	bucketBlocks = []byte("blocks")

	keyHead       = []byte("head")
	keyFrom       = []byte("from")
	keyDurable    = []byte("durable")
	keySaved      = []byte("saved")
	keyGeneration = []byte("generation")
)

// Config fixes whose image a file is.
type Config struct {
	Path   string
	ID     [16]byte // of the log that it belongs to
	Shards int
	NoSync bool // nothing is made durable: for tests of what is written, not of what lasts
	Disk   Disk // where it lives; nil: in the file system
}

// Image is an open image. Any number of goroutines may load from it; one saves.
type Image struct {
	cfg    Config
	db     store
	swept  []bool // shards whose leftovers of a former process are gone
	former *Image // that it is to replace
}

// Open opens an image or makes an empty one. After ErrDamaged nothing of it can be used:
// see SetAside. The caller holds the lock of the data directory.
func Open(cfg Config) (*Image, error) {
	if cfg.Disk == nil {
		cfg.Disk = files{cfg.NoSync}
	}
	im := &Image{cfg: cfg, swept: make([]bool, cfg.Shards)}
	err := guard(func() (err error) {
		if im.db, err = cfg.Disk.open(cfg.Path); err != nil {
			return err
		}
		return im.begin()
	})
	if err != nil {
		im.Close()
		return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	return im, nil
}

// begin reads the head, or writes it.
func (im *Image) begin() error {
	var raw []byte
	err := im.db.View(func(tx tx) error {
		if b := tx.Bucket(bucketHead); b != nil {
			raw = append(raw, b.Get(keyHead)...)
		} else if !tx.Empty() {
			return fmt.Errorf("%w: it has no head", ErrDamaged)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if raw == nil {
		return im.found()
	}
	h, err := decodeHead(raw)
	switch {
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("%w (%d, this version of aegis reads %d): use the version that wrote it, or a newer one", err, h.format, format)
	case err != nil:
		return fmt.Errorf("%w: its head: %w", ErrDamaged, err)
	case h.id != im.cfg.ID || h.shards != uint32(im.cfg.Shards):
		return fmt.Errorf("%w: it has %d shards and the id %x", ErrForeign, h.shards, h.id)
	}
	return nil
}

// found makes an image without shards.
func (im *Image) found() error {
	h := encodeHead(&head{format: format, shards: uint32(im.cfg.Shards), id: im.cfg.ID})
	err := im.db.Update(func(tx tx) error {
		for _, name := range [][]byte{bucketRows, bucketIndex, bucketBlocks, bucketHead} {
			if err := tx.Create(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketHead).Put(keyHead, h)
	})
	if err != nil {
		return err
	}
	return im.cfg.Disk.keep(im.cfg.Path)
}

// Anew makes an empty image beside this one, to take its place once a pass has filled it:
// how space is given back, and what is done after an error of the file. A failed fsync may
// have dropped pages that a later one says nothing of.
func (im *Image) Anew() (*Image, error) {
	cfg := im.cfg
	cfg.Path += ".new"
	if err := cfg.Disk.remove(cfg.Path); err != nil {
		return nil, err
	}
	fresh, err := Open(cfg)
	if err == nil {
		fresh.former = im
	}
	return fresh, err
}

// Replace puts an image that Anew made into the place of the one that it was made from,
// which is closed whatever happens.
func (im *Image) Replace(old *Image) error {
	_ = old.Close()
	im.former = nil
	if err := im.cfg.Disk.rename(im.cfg.Path, old.cfg.Path); err != nil {
		return err
	}
	im.cfg.Path = old.cfg.Path
	return im.cfg.Disk.keep(im.cfg.Path)
}

// Close closes the file.
func (im *Image) Close() error {
	if im.db == nil {
		return nil
	}
	return guard(im.db.Close)
}

// Bytes is what the file takes.
func (im *Image) Bytes() int64 { return im.cfg.Disk.bytes(im.cfg.Path) }

// view reads from the file.
func (im *Image) view(read func(tx tx) error) error {
	return guard(func() error { return im.db.View(read) })
}

// number is one of the numbers beside the head, 0 when it was never written.
func (im *Image) number(key []byte) (n uint64, err error) {
	err = im.view(func(tx tx) (err error) {
		if n, err = decodeNumber(key, tx.Bucket(bucketHead).Get(key)); err != nil {
			err = fmt.Errorf("%w: %s: %w", ErrDamaged, key, err)
		}
		return err
	})
	return n, err
}

// From is the LSN up to which the log may be gone: its frames below are in the image, or
// nobody needs them.
func (im *Image) From() (uint64, error) { return im.number(keyFrom) }

// Saved is when a pass over all shards was last complete, unix ms, 0 = never.
func (im *Image) Saved() (int64, error) {
	n, err := im.number(keySaved)
	return int64(n), err
}

// SetFrom says that the log is about to be cut below an LSN. It is durable when it returns.
func (im *Image) SetFrom(lsn uint64) error { return im.setNumber(keyFrom, lsn) }

// SetDurable says that the log is durable up to an LSN, below which UpTo never falls again.
func (im *Image) SetDurable(lsn uint64) error { return im.setNumber(keyDurable, lsn) }

func (im *Image) setNumber(key []byte, n uint64) error {
	return guard(func() error {
		return im.db.Update(func(tx tx) error { return tx.Bucket(bucketHead).Put(key, encodeNumber(key, n)) })
	})
}
