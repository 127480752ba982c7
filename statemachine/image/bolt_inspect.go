package image

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// Report is what Inspect found in an image.
type Report struct {
	ID      [16]byte
	Shards  int
	From    uint64  // the log may be gone below this LSN
	Saved   int64   // unix ms, 0 = never
	Rows    []Row   // that can be read, with all that belongs to them
	Damages []error // one for each shard that cannot be, and for the head's numbers
}

// ErrBusy says that a process has the image open.
var ErrBusy = errors.New("a node that runs has it open")

// Inspect reads every byte that counts in an image, without its owner, and changes nothing.
func Inspect(path string) (rep Report, err error) {
	err = reading(path, rep.read)
	return rep, err
}

// reading opens an image to read from it only.
func reading(path string, read func(im *Image) error) error {
	return guard(func() error {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
		if errors.Is(err, boltErrors.ErrTimeout) {
			return ErrBusy
		} else if err != nil {
			return bad(err)
		}
		im := &Image{cfg: Config{Path: path}, db: boltStore{db}}
		defer im.Close()
		return read(im)
	})
}

// Read brings a shard of an image without its owner, and without the log that belongs to it:
// when From and To of its row differ, what it brings is of no single moment. An error that
// yield gives ends it, and is the error.
func Read(path string, shard uint16, yield func(entries []byte) error) error {
	var theirs error // not the file's: a load would call it damage
	l := &given{yield: func(b []byte) error { theirs = yield(b); return theirs }}
	err := reading(path, func(im *Image) error {
		return im.db.View(func(tx tx) error { return loadShard(tx, shard, 0, l) })
	})
	if theirs != nil {
		return theirs
	}
	return err
}

// given is a Loader that passes entries on.
type given struct{ yield func(entries []byte) error }

func (l *given) Begin(r *Row) error                  { return nil }
func (l *given) Range(lo, hi uint64, b []byte) error { return l.yield(b) }
func (l *given) End(digest uint64) error             { return nil }

func (rep *Report) read(im *Image) error {
	var keys []uint16
	err := im.db.View(func(tx tx) error {
		b := tx.Bucket(bucketHead)
		if b == nil {
			return fmt.Errorf("%w: it has no head", ErrDamaged)
		}
		h, err := decodeHead(b.Get(keyHead))
		if err != nil {
			return err
		}
		rep.ID, rep.Shards = h.id, int(h.shards)
		for id := range rep.Shards {
			if tx.Bucket(bucketRows).Get(shardKey(uint16(id))) != nil {
				keys = append(keys, uint16(id))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var broken [2]error
	rep.From, broken[0] = im.From()
	rep.Saved, broken[1] = im.Saved()
	for _, err := range broken {
		if err != nil {
			rep.Damages = append(rep.Damages, err)
		}
	}
	for _, id := range keys {
		l := &inspected{}
		if err := im.db.View(func(tx tx) error { return loadShard(tx, id, 0, l) }); err != nil {
			rep.Damages = append(rep.Damages, fmt.Errorf("shard %d: %w", id, err))
		} else {
			rep.Rows = append(rep.Rows, l.row)
		}
	}
	return nil
}

// inspected is a Loader that keeps nothing: what entries are is not known here.
type inspected struct{ row Row }

func (l *inspected) Begin(r *Row) error                  { l.row = *r; return nil }
func (l *inspected) Range(lo, hi uint64, b []byte) error { return nil }
func (l *inspected) End(digest uint64) error             { return nil }
