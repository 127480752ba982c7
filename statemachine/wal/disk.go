package wal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/baxromumarov/aegisKV/internal/fault"
)

// Disk is a directory of the file system. Only the process that holds the lock of the
// node's data directory may open it: the log's id is that directory's.
type Disk struct{ dir string }

// OpenDisk makes the directory if it is absent.
func OpenDisk(dir string) (Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Disk{}, fmt.Errorf("directory %s of the log cannot be made: %w; choose another with --wal-dir", dir, err)
	}
	return Disk{dir}, syncDir(filepath.Dir(dir))
}

// LookInto is a directory that is there, to be read only.
func LookInto(dir string) (Disk, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	return Disk{dir}, err
}

func (d Disk) path(name string) string { return filepath.Join(d.dir, name) }

// List implements FS.
func (d Disk) List() (map[string]int64, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			sizes[e.Name()] = info.Size() + int64(len(fault.Unsynced(d.path(e.Name()))))
		}
	}
	return sizes, nil
}

// Read implements FS.
func (d Disk) Read(name string, dst []byte, limit int64) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return dst, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return dst, err
	}
	want := info.Size()
	if limit > 0 {
		want = min(want, limit)
	}
	start := len(dst)
	if need := start + int(want); cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = dst[:start+int(want)]
	n, err := io.ReadFull(f, dst[start:])
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it is being written to by somebody, or was cut
	}
	dst = dst[:start+n]
	if more := fault.Unsynced(d.path(name)); err == nil && len(more) > 0 {
		if dst = append(dst, more...); limit > 0 {
			dst = dst[:min(len(dst), start+int(limit))]
		}
	}
	return dst, err
}

// Create implements FS.
func (d Disk) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return fault.Disk(f.Name(), f), nil
}

// Cut implements FS.
func (d Disk) Cut(name string, size, doubted int64) error {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		err = rewrite(f, doubted, size)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rewriteStep is how much of a file is written once more in one go, in bytes.
const rewriteStep = 1 << 20

// rewrite writes the bytes [from, to) of a file where they stand.
func rewrite(f *os.File, from, to int64) error {
	b := make([]byte, min(rewriteStep, max(0, to-from)))
	for from < to {
		n, err := f.ReadAt(b[:min(int64(len(b)), to-from)], from)
		if n == 0 {
			return err
		}
		if _, err := f.WriteAt(b[:n], from); err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// Remove implements FS.
func (d Disk) Remove(name string) error { return os.Remove(d.path(name)) }

// SyncNames implements FS.
func (d Disk) SyncNames() error { return syncDir(d.dir) }

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// bootFile is where Linux tells which start of the kernel this is.
const bootFile = "/proc/sys/kernel/random/boot_id"

// Boot is the id of this start of the kernel, zero where none is told: then no log
// written in mode write is taken for intact.
func Boot() (id [16]byte) {
	b, err := os.ReadFile(bootFile)
	if err != nil {
		return id
	}
	digits := strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	if raw, err := hex.DecodeString(digits); err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}
