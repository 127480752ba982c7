package clients

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shown is what `aegis status -o json` prints of a node's cluster.
func shown(t *testing.T, n *restartable) (r report) {
	t.Helper()
	cmd := exec.Command("./bin/aegis", "status", "--addr", n.addr, "-o", "json")
	cmd.Dir = n.dir
	out, _ := cmd.Output() // the exit code is a verdict
	_ = json.Unmarshal(out, &r)
	return r
}

// gossipSays reports whether every node that answers, at least so many, says one of
// the words of another.
func gossipSays(t *testing.T, asked, about *restartable, least int, words string) bool {
	t.Helper()
	sayers := 0
	for _, n := range shown(t, asked).Nodes {
		if n.Name == about.name {
			continue
		}
		for _, g := range n.Gossip {
			if g.Name == about.name {
				if !strings.Contains(words, g.State) {
					return false
				}
				sayers++
			}
		}
	}
	return sayers >= least
}

// TestGossipShowsWhoLives: three nodes show each other alive; one that is killed is
// given up within ten seconds, alive again when it is back, and has left when it was
// asked to.
func TestGossipShowsWhoLives(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "128MiB")
	for _, n := range nodes {
		until(t, time.Minute, n.name+" is alive for the others", func() bool { return gossipSays(t, nodes[0], n, 2, "alive") })
	}
	victim := nodes[2]
	victim.kill()
	killed := time.Now()
	until(t, 10*time.Second, "the killed node is given up", func() bool { return gossipSays(t, nodes[0], victim, 2, "dead suspect") })
	t.Logf("given up %v after the kill", time.Since(killed).Round(100*time.Millisecond))
	asked := time.Now()
	if r := shown(t, nodes[0]); len(r.Silent) != 1 || time.Since(asked) > time.Second {
		t.Errorf("status took %v beside a dead node; silent %q", time.Since(asked), r.Silent)
	}
	victim.start(t)
	back := time.Now()
	until(t, time.Minute, "the killed node is alive again", func() bool { return gossipSays(t, nodes[0], victim, 2, "alive") })
	t.Logf("alive %v after its start", time.Since(back).Round(100*time.Millisecond))
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
	victim.signal(syscall.SIGTERM)
	if err := victim.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM ended the node with %v", err)
	}
	until(t, 3*time.Second, "the node has left", func() bool { return gossipSays(t, nodes[0], victim, 2, "left") })
	victim.start(t)
	until(t, time.Minute, "the node that left is alive again", func() bool { return gossipSays(t, nodes[0], victim, 2, "alive") })
}

// wipe kills a node and takes its disk.
func (r *restartable) wipe(t *testing.T) {
	t.Helper()
	r.kill()
	r.empty(t)
}

func (r *restartable) empty(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "data", r.name)); err != nil {
		t.Fatal(err)
	}
}

// written is what a node has logged, from a position on.
func (r *restartable) written(t *testing.T, from int) string {
	t.Helper()
	b, err := os.ReadFile(r.logPath())
	if err != nil {
		t.Fatal(err)
	}
	return string(b[from:])
}

// refuses starts a node that must end by itself, with one sentence as its last line.
func refuses(t *testing.T, n *restartable, parts ...string) {
	t.Helper()
	from := len(n.written(t, 0))
	n.start(t)
	ended := make(chan error, 1)
	go func() { ended <- n.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatalf("%s goes on:\n%s", n.name, n.written(t, from))
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(n.written(t, from)), "\n")
	last := lines[len(lines)-1]
	for _, p := range append(parts, "aegis: ") {
		if !strings.Contains(last, p) {
			t.Errorf("the last line is %q and lacks %q", last, p)
		}
	}
}

// noticed reports whether a node shows a sentence with these words.
func noticed(t *testing.T, asked *restartable, by string, words ...string) bool {
	t.Helper()
	for _, n := range shown(t, asked).Nodes {
		for _, s := range n.Notices {
			has := n.Name == by
			for _, w := range words {
				has = has && strings.Contains(s, w)
			}
			if has {
				return true
			}
		}
	}
	return false
}

// TestAWipedFirstNodeOpensNoSecondCluster: the node that founded the cluster has no
// seeds. When its disk is lost, the same command must not open an empty cluster
// under the old address: it ends with a sentence, as often as it is tried. With
// seeds it is taken in as a new node.
func TestAWipedFirstNodeOpensNoSecondCluster(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "128MiB")
	first := nodes[0]
	cluster := statusOf(nodes[1].addr).Cluster
	first.wipe(t)
	for range 2 {
		refuses(t, first, cluster[:8], "second, empty cluster", filepath.Join("data", first.name), "--seeds")
	}
	until(t, time.Minute, "the others say so too", func() bool {
		return noticed(t, nodes[1], nodes[1].name, "registered as the address of "+first.name) ||
			noticed(t, nodes[1], nodes[2].name, "registered as the address of "+first.name)
	})
	first.empty(t)
	first.line += " --seeds localhost" + flagOf(nodes[1].line, "gossip-addr")
	first.start(t)
	until(t, time.Minute, "the node is taken in", func() bool { return statusOf(first.addr).Cluster == cluster })
}

// TestASecondClusterWithWritesGoesOn: when nobody of the old cluster could object in
// time, what was acknowledged stands, and both sides say what is wrong.
func TestASecondClusterWithWritesGoesOn(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "128MiB")
	first, others := nodes[0], nodes[1:]
	cluster := statusOf(others[0].addr).Cluster
	first.wipe(t)
	for _, n := range others {
		n.signal(syscall.SIGSTOP)
	}
	first.start(t)
	until(t, time.Minute, "the new cluster takes a write", func() bool { return ask(first.addr, "set", "key", "value") == "OK" })
	for _, n := range others {
		n.signal(syscall.SIGCONT)
	}
	until(t, time.Minute, "both sides say what is wrong", func() bool {
		old := noticed(t, others[0], others[0].name, "registered as the address of "+first.name) ||
			noticed(t, others[0], others[1].name, "registered as the address of "+first.name)
		return old && noticed(t, first, first.name, cluster[:8], "has taken writes and goes on")
	})
	if got := ask(first.addr, "get", "key"); got != "value" {
		t.Errorf("the acknowledged write reads %q", got)
	}
	if got := statusOf(first.addr).Cluster; got == cluster || got == "" {
		t.Errorf("the first node is of cluster %q", got)
	}
	first.kill()
	first.start(t) // its memory is gone, but it knows that it was in use
	until(t, time.Minute, "it goes on after a restart", func() bool {
		return noticed(t, first, first.name, cluster[:8], "has taken writes and goes on")
	})
	if fmt.Sprint(first.cmd.ProcessState) != "<nil>" {
		t.Errorf("it ended: %v", first.cmd.ProcessState)
	}
}

// TestAllNodesComeBackAtNewAddresses: the registry can only be corrected by a
// majority that has met, and what it says is where nobody is any more. Gossip, which
// starts from one seed, says where the nodes are.
func TestAllNodesComeBackAtNewAddresses(t *testing.T) {
	t.Parallel()
	nodes := launch(t, 3, "128MiB")
	cluster := statusOf(nodes[0].addr).Cluster
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
	base := freeBlock(t, portsEach*3) // while they have theirs
	for _, n := range nodes {
		n.kill()
	}
	for i, n := range nodes {
		n.line = onPorts(contract[i], base) + " --max-memory-bytes 128MiB"
		n.addr = net.JoinHostPort("127.0.0.1", strings.TrimPrefix(flagOf(n.line, "client-addr"), ":"))
		n.start(t)
	}
	begun := time.Now()
	until(t, 10*time.Second, "three healthy nodes at their new addresses", func() bool { return healthy(nodes[0].addr) })
	t.Logf("healthy %v after the start", time.Since(begun).Round(100*time.Millisecond))
	for _, n := range nodes {
		if got := statusOf(n.addr).Cluster; got != cluster {
			t.Errorf("%s is of cluster %q, not %q", n.name, got, cluster)
		}
	}
}
