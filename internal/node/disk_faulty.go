//go:build chaos || mutants

package node

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// A build with the tag chaos, started with AEGIS_TEST_DISK set, has a log whose disk fails as
// the chaos suite wants it. What is written and not yet synced stays in this process, so
// that a kill is a power cut; and a file of the node's directory says what an fsync does:
// "stall" makes it wait until that word is gone, "error" lets it fail, and what it was to
// make durable is lost although later writes succeed, as kernels have it.

// diskEvery is how often an fsync that stands still looks whether it may go on.
const diskEvery = 5 * time.Millisecond

// faultable is the directory of the log, which a file can let fail.
func faultable(d wal.Disk, control string) wal.FS {
	if os.Getenv("AEGIS_TEST_DISK") == "" {
		return d
	}
	return &faultyDisk{Disk: d, control: control, open: map[string]*faultyFile{}}
}

// faultyDisk is a directory whose files keep in memory what is not synced.
type faultyDisk struct {
	wal.Disk
	control string

	mu   sync.Mutex
	open map[string]*faultyFile
}

// faultyFile is one that is written to.
type faultyFile struct {
	d    *faultyDisk
	name string
	f    *os.File
	at   int64 // where what is pending begins

	mu      sync.Mutex
	pending []byte
}

// told is what the control file says.
func (d *faultyDisk) told() string {
	b, _ := os.ReadFile(d.control)
	return strings.TrimSpace(string(b))
}

// acted says beside the control file that a fault was met: who injects it must see that.
func (d *faultyDisk) acted(what string) {
	f, err := os.OpenFile(d.control+".acted", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = f.WriteString(what + "\n")
		_ = f.Close()
	}
}

// Create implements wal.FS.
func (d *faultyDisk) Create(name string) (wal.File, error) {
	f, err := d.Disk.Create(name)
	if err != nil {
		return nil, err
	}
	file := &faultyFile{d: d, name: name, f: f.(*os.File)}
	d.mu.Lock()
	d.open[name] = file
	d.mu.Unlock()
	return file, nil
}

// unsynced is what of a file is in memory only.
func (d *faultyDisk) unsynced(name string) []byte {
	d.mu.Lock()
	f := d.open[name]
	d.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.pending)
}

// List implements wal.FS.
func (d *faultyDisk) List() (map[string]int64, error) {
	sizes, err := d.Disk.List()
	for name := range sizes {
		sizes[name] += int64(len(d.unsynced(name)))
	}
	return sizes, err
}

// Read implements wal.FS.
func (d *faultyDisk) Read(name string, dst []byte, limit int64) ([]byte, error) {
	start := len(dst)
	dst, err := d.Disk.Read(name, dst, limit)
	if err == nil {
		dst = append(dst, d.unsynced(name)...)
		if limit > 0 && int64(len(dst)-start) > limit {
			dst = dst[:start+int(limit)]
		}
	}
	return dst, err
}

// Write implements wal.File.
func (f *faultyFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, b...)
	return len(b), nil
}

// Sync implements wal.File.
func (f *faultyFile) Sync() error {
	for first := true; f.d.told() == "stall"; first = false {
		if first {
			f.d.acted("stall")
		}
		time.Sleep(diskEvery)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := f.d.told() == "error"
	if lost {
		f.d.acted("error")
	} else if _, err := f.f.WriteAt(f.pending, f.at); err != nil {
		return err
	}
	f.at += int64(len(f.pending))
	f.pending = f.pending[:0]
	if lost {
		return syscall.EIO
	}
	return f.f.Sync()
}

// Close implements wal.File.
func (f *faultyFile) Close() error {
	f.d.mu.Lock()
	delete(f.d.open, f.name)
	f.d.mu.Unlock()
	_, err := f.f.WriteAt(f.pending, f.at)
	return errors.Join(err, f.f.Close())
}
