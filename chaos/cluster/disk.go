package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// The disk of a node's log fails as a file of its directory says, if aegis was built with
// the tag chaos and AEGIS_TEST_DISK is set: see internal/node.
const diskFile = "disk"

// DiskEnv lets nodes of such a build have a disk that can fail.
const DiskEnv = "AEGIS_TEST_DISK=on"

// Disk tells the node's disk what an fsync does from now on: "stall", "error", or "" for
// what it should.
func (n *Node) Disk(word string) error {
	return os.WriteFile(filepath.Join(n.Dir(), diskFile), []byte(word), 0o600)
}

// DiskActed is how many fsyncs have met the fault that a word names.
func (n *Node) DiskActed(word string) (int, error) {
	b, err := os.ReadFile(filepath.Join(n.Dir(), diskFile+".acted"))
	if err != nil {
		return 0, fmt.Errorf("no fsync of %s met the fault (aegis must be built with -tags chaos): %w", n.Name, err)
	}
	return bytes.Count(b, []byte(word+"\n")), nil
}
