package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// local is a loopback address.
func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// nodeArgs are the arguments of a node on three free ports.
func nodeArgs(t *testing.T, dir, id string, more ...string) []string {
	t.Helper()
	port, claim, err := freePorts(27000, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = claim.Close() })
	return append([]string{"--id", id, "--data-dir", dir, "--client-addr", local(port), "--gossip-addr", local(port + 2), "--log-format", "json"}, more...)
}

// valueOf is what follows a flag.
func valueOf(args []string, flag string) string {
	for i, a := range args {
		if a == flag {
			return args[i+1]
		}
	}
	return ""
}

// serving starts a node and waits until it serves; it is ended with the test, or by
// the function that is given back.
func serving(t *testing.T, args []string) (leave func()) {
	t.Helper()
	cmd := aegis(t, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := watch(stderr)
	out.await(t, `"msg":"(serving)"`)
	gone := false
	leave = func() {
		if gone {
			return
		}
		gone = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for range out.lines {
		}
		if err := cmd.Wait(); err != nil {
			out.mu.Lock()
			defer out.mu.Unlock()
			t.Errorf("SIGTERM ended %q with %v; it said\n%s", args, err, out.text.String())
		}
	}
	t.Cleanup(leave)
	return leave
}

// ends runs a node that gets as far as its banner and wants it to end with an
// error: one sentence that holds all parts.
func ends(t *testing.T, args []string, parts ...string) {
	t.Helper()
	cmd := aegis(t, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fuse := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	fuse.Stop()
	if got := cmd.ProcessState.ExitCode(); got != 1 {
		t.Errorf("aegis %q exits with %d, want 1; it said %s", args, got, said.String())
	}
	_, sentence, found := strings.Cut(said.String(), "\naegis: ")
	if !found || strings.Count(sentence, "\n") != 1 {
		t.Errorf("aegis %q did not end with one sentence: %s", args, said.String())
	}
	for _, p := range parts {
		if !strings.Contains(sentence, p) {
			t.Errorf("aegis %q said %q, which lacks %q", args, sentence, p)
		}
	}
}

// TestEveryPortInUseIsOneSentence takes each port of a node in turn.
func TestEveryPortInUseIsOneSentence(t *testing.T) {
	for _, c := range []struct{ network, flag string }{
		{"tcp", "client-addr"}, {"tcp", "cluster-addr"}, {"udp", "cluster-addr"}, {"tcp", "gossip-addr"}, {"udp", "gossip-addr"},
	} {
		args := nodeArgs(t, t.TempDir(), "a")
		var port int
		if _, err := fmt.Sscanf(valueOf(args, "--client-addr"), "127.0.0.1:%d", &port); err != nil {
			t.Fatal(err)
		}
		taken := local(port + map[string]int{"client-addr": 0, "cluster-addr": 1, "gossip-addr": 2}[c.flag])
		var held interface{ Close() error }
		var err error
		if c.network == "tcp" {
			held, err = net.Listen("tcp", taken)
		} else {
			held, err = net.ListenPacket("udp", taken)
		}
		if err != nil {
			t.Fatal(err)
		}
		fails(t, 1, args, taken, "--"+c.flag)
		_ = held.Close()
	}
}

// TestDirectoriesThatCannotBeUsed: each in one sentence that names the place.
func TestDirectoriesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("file", "")
	fails(t, 1, nodeArgs(t, filepath.Join(dir, "file"), "a"), "file", "--data-dir")
	write("garbage/a/raft.db", strings.Repeat("this is no database\n", 1000))
	fails(t, 1, nodeArgs(t, filepath.Join(dir, "garbage"), "a"), "raft.db")
	write("lock/a/LOCK/x", "")
	fails(t, 1, nodeArgs(t, filepath.Join(dir, "lock"), "a"), "lock", "--data-dir")
	write("secret", "short")
	fails(t, 1, nodeArgs(t, dir, "a", "--cluster-secret-file", filepath.Join(dir, "secret")), "16 characters")
	fails(t, 1, nodeArgs(t, dir, "a", "--cluster-secret-file", filepath.Join(dir, "none")), "secret", "none")
}

// TestAnUnreadableDirectory runs as somebody who may not read the data directory:
// root may read everything, so root becomes nobody.
func TestAnUnreadableDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("", "aegis-unreadable-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "data", "a")
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.MkdirAll(closed, 0o700), os.Chmod(filepath.Dir(closed), 0o755),
		os.WriteFile(filepath.Join(dir, "aegis"), program, 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	args := nodeArgs(t, filepath.Dir(closed), "a")
	cmd := exec.Command(filepath.Join(dir, "aegis"), args...)
	cmd.Dir, cmd.Env = "/", append(withoutSettings(os.Environ()), asAegis+"=1")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(string(out), "\n") != 1 ||
		!strings.Contains(string(out), closed) || !strings.Contains(string(out), "permission denied") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestAForeignCluster: a data directory of one cluster is started with the seeds of
// another. It must not serve as if nothing were wrong.
func TestAForeignCluster(t *testing.T) {
	here, there := nodeArgs(t, t.TempDir(), "here"), t.TempDir()
	serving(t, here)
	stranger := nodeArgs(t, there, "stranger")
	serving(t, stranger)()
	seeded := append(stranger, "--seeds", valueOf(here, "--gossip-addr"))
	ends(t, seeded, "cluster", valueOf(here, "--gossip-addr"), "--seeds", "--data-dir")
	serving(t, stranger) // without those seeds all is well
}

// TestAForeignClusterThatAnswersLate: the seed's machine is busy, its answer takes
// longer than a second. A node that serves by then is what the operator did not want.
func TestAForeignClusterThatAnswersLate(t *testing.T) {
	here := nodeArgs(t, t.TempDir(), "here")
	serving(t, here)
	stranger := nodeArgs(t, t.TempDir(), "stranger")
	serving(t, stranger)()
	busy := late(t, valueOf(here, "--gossip-addr"), 1500*time.Millisecond)
	ends(t, append(stranger, "--seeds", busy), "cluster", busy, "--seeds", "--data-dir")
}

// late relays connections to addr, the answers by so much later.
func late(t *testing.T, addr string, by time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			}()
			time.AfterFunc(by, func() {
				_, _ = io.Copy(in, out)
				_ = in.Close()
			})
		}
	}()
	return l.Addr().String()
}

// TestHardSettingsThatDiffer: a newcomer that states another layout is not taken in.
func TestHardSettingsThatDiffer(t *testing.T) {
	founder := nodeArgs(t, t.TempDir(), "founder", "--num-shards", "64")
	serving(t, founder)
	newcomer := nodeArgs(t, t.TempDir(), "newcomer", "--seeds", valueOf(founder, "--gossip-addr"))
	ends(t, append(newcomer, "--num-shards", "128"), "numShards is 128 here and 64 in the cluster")
	ends(t, append(newcomer, "--num-shards", "128"), "numShards is 128 here and 64 in the cluster") // again: nothing was kept
	serving(t, newcomer)
}
