package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestACopiedDirectory: a data directory is copied and both copies are started. One
// of the two processes must say so and end, instead of standing there without leases.
func TestACopiedDirectory(t *testing.T) {
	first := nodeArgs(t, t.TempDir(), "first")
	serving(t, first)
	dir, other := t.TempDir(), t.TempDir()
	second := nodeArgs(t, dir, "second", "--seeds", valueOf(first, "--gossip-addr"))
	serving(t, second)()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(other, "second", "raft.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	twin := nodeArgs(t, other, "second", "--seeds", valueOf(first, "--gossip-addr"))
	taken, err := net.Listen("tcp", valueOf(twin, "--client-addr"))
	if err != nil {
		t.Fatal(err)
	}
	fails(t, 1, twin, "cannot be opened") // a start of the copy counts, though it got no port
	_ = taken.Close()

	stands := aegis(t, second...)
	said, err := stands.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stands.Start(); err != nil {
		t.Fatal(err)
	}
	out := watch(said)
	out.await(t, `"msg":"(serving)"`)
	third := append(nodeArgs(t, other, "second"), "--seeds", valueOf(second, "--gossip-addr"))
	ends(t, third, "another process runs with this node's identity", valueOf(second, "--gossip-addr"), "copied", "--data-dir")

	serving(t, twin) // it cannot know: its seed is another node
	out.await(t, `aegis: (another process runs with this node's identity at `+valueOf(twin, "--gossip-addr")+`.*was copied.*empty --data-dir)`)
	_ = stands.Wait()
	if code := stands.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it exits with %d, want 1", code)
	}
}
