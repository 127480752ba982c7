package multiraft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
)

// A bbolt file begins with two pages of metadata; the one of the last commit says
// how many pages there are (go.etcd.io/bbolt, type meta). What follows is the layout
// of it that we need.
const (
	boltMagic     = 0xED0CDAED
	boltPageHead  = 16
	boltMetaSum   = 56 // bytes before the checksum
	boltMetaBytes = boltMetaSum + 8
)

// refuseCutShort says when a file ends before its last page. bbolt maps a file and
// trusts it: the missing pages would be a SIGBUS that nobody can recover from.
func refuseCutShort(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want := boltBytes(f)
	if info.Size() < want {
		return fmt.Errorf("the file is damaged: it has %d bytes of at least %d; %s", info.Size(), want, startAnew)
	}
	return nil
}

// boltBytes is the length that the valid metadata of a file asks for, 0 when none of
// it is valid: bbolt refuses that itself.
func boltBytes(f *os.File) (want int64) {
	b := make([]byte, boltMetaBytes)
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		if _, err := f.ReadAt(b, at+boltPageHead); err != nil {
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write(b[:boltMetaSum])
		if binary.NativeEndian.Uint32(b) != boltMagic || binary.NativeEndian.Uint64(b[boltMetaSum:]) != sum.Sum64() {
			continue
		}
		pageBytes, pages := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint64(b[40:])
		want = max(want, int64(pages)*int64(pageBytes))
	}
	return want
}
