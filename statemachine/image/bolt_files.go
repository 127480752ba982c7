package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// files is the file system as a Disk: an image is a file of bbolt.
type files struct{ noSync bool }

func (f files) open(path string) (store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second, FreelistType: bbolt.FreelistMapType, NoSync: f.noSync, NoStatistics: true,
	})
	if err != nil {
		return nil, bad(err)
	}
	return boltStore{db}, nil
}

func (files) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (files) rename(from, to string) error { return os.Rename(from, to) }

func (f files) keep(path string) error {
	if f.noSync {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

func (files) bytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SetAside moves a file that cannot be read out of the way, in the place of the one that
// was set aside before, and says where it is.
func SetAside(path string) (to string, err error) {
	to = path + ".aside"
	if err = os.Rename(path, to); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return to, err
}

// bad takes an error of bbolt for one of the file's contents, but for those that it gets
// from the operating system.
func bad(err error) error {
	var path *os.PathError
	if errors.As(err, &path) || errors.Is(err, boltErrors.ErrTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// guard makes errors of the panics with which bbolt meets a damaged page, and of faults in
// a file that was cut short.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// boltStore is a file of bbolt as a store.
type boltStore struct{ db *bbolt.DB }

// View implements store.
func (s boltStore) View(read func(tx tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return read(boltTx{tx}) })
}

// Update implements store.
func (s boltStore) Update(write func(tx tx) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return write(boltTx{tx}) })
}

// Close implements store.
func (s boltStore) Close() error { return s.db.Close() }

type boltTx struct{ *bbolt.Tx }

// Bucket implements tx.
func (t boltTx) Bucket(name []byte) bucket {
	if b := t.Tx.Bucket(name); b != nil {
		return boltBucket{b}
	}
	return nil
}

// Create implements tx.
func (t boltTx) Create(name []byte) error {
	_, err := t.CreateBucketIfNotExists(name)
	return err
}

// Empty implements tx.
func (t boltTx) Empty() bool {
	name, _ := t.Tx.Cursor().First()
	return name == nil
}

type boltBucket struct{ *bbolt.Bucket }

// Cursor implements bucket.
func (b boltBucket) Cursor() cursor { return b.Bucket.Cursor() }
