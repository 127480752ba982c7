package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dataDir is a node's own directory with its lock held. One directory is one
// identity; the lock is what makes "at most one live process per identity" true
// (lease-protocol A1), so it is taken before anything in the directory is read.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory if it is absent and locks it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: %w; choose another with --data-dir", path, err)
	}
	f, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be used: %w; check its owner and mode, or choose another with --data-dir", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another process: stop that one, or start this one with another --id or --data-dir", path)
		}
		return nil, fmt.Errorf("data directory %s cannot be locked: %w; it must be on a file system with flock", path, err)
	}
	return &dataDir{path: path, lock: f}, nil
}

// file names a file of the directory.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// markName is the file that says that this node has taken a write. Without a log a
// restart forgets every write, but not that the cluster was in use.
const markName = "WRITTEN"

// mark remembers that a write was taken, and reports whether it could. That it
// cannot is no reason to stop.
func (d *dataDir) mark() bool {
	f, err := os.OpenFile(d.file(markName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	return errors.Join(f.Sync(), f.Close()) == nil
}

// marked reports whether mark has ever been called.
func (d *dataDir) marked() bool {
	_, err := os.Stat(d.file(markName))
	return err == nil
}

// goneName is the file that says that this node has left its cluster for good.
const goneName = "GONE"

// errGone is why a directory whose node has left cannot be used again.
var errGone = errors.New("this node was removed from its cluster for good, and what is in the directory may not be used again: empty it, or choose another with --data-dir, to start a new node")

// leave remembers that the node has left for good.
func (d *dataDir) leave() { _ = os.WriteFile(d.file(goneName), nil, 0o600) }

// left says that leave was called, nil otherwise.
func (d *dataDir) left() error {
	if _, err := os.Stat(d.file(goneName)); err != nil {
		return nil
	}
	return fmt.Errorf("data directory %s: %w", d.path, errGone)
}

// diskAdvice says of an error what to do when it is that the disk is full. What is
// said of a damaged file would then be wrong.
func (n *Node) diskAdvice(err error) error {
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return fmt.Errorf("the disk of directory %s is full (%w), so this node ends: free some space there and start it again; nothing in the directory needs to be removed", n.failedDir(), unix.ENOSPC)
}

// dirPath is the node's directory, which may not have been made.
func (n *Node) dirPath() string {
	if n.dir != nil {
		return n.dir.path
	}
	return n.cfg.DataDir
}

// Close gives the lock up.
func (d *dataDir) Close() error { return d.lock.Close() }
