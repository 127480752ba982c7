package clients

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestALostMajorityIsRecovered destroys two of three nodes, -9 and with their data. The third
// goes on at an operator's word, and not without it: it has all that had reached it, says
// what may be lost, and takes blank nodes in until there are three whole copies again. What
// was destroyed comes back after all, both at once, a majority of what was: they are turned
// away, as often as they are started, and nothing that they had is seen.
func TestALostMajorityIsRecovered(t *testing.T) {
	t.Parallel()
	base := freeBlock(t, portsEach*5)
	line := func(i, seed int) string {
		seeds := ""
		if seed >= 0 {
			seeds = fmt.Sprintf(" --seeds localhost:%d", base+portsEach*seed+2)
		}
		return fmt.Sprintf("./bin/aegis --no-supervise --id node%d --client-addr :%d --gossip-addr :%d --max-memory-bytes %d --lease-profile noisy%s",
			i+1, base+portsEach*i, base+portsEach*i+2, rigMemory, seeds)
	}
	nodes := prepare(t, line(0, -1), line(1, 0), line(2, 0), line(3, 2), line(4, 2))
	for _, n := range nodes[:3] {
		n.start(t)
	}
	awaitMap(t, addresses(nodes[:3]))
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(nodes[2].addr) })
	lost, survivor := nodes[:2], nodes[2]
	const keys = 500
	all := newClient(t, addresses(nodes[:3]))
	for i := range keys {
		if err := all.Set(t.Context(), recoverKey(i), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	until(t, time.Minute, "the copies are in step", func() bool { return statusOf(survivor.addr).lacking() == "" })
	if code, out := survivor.recover("--gone", "node1"); code != 1 || !strings.Contains(out, "it answers at") {
		t.Errorf("node1, which runs, may be declared gone: %d, %s", code, out)
	}
	var wg sync.WaitGroup
	for _, n := range lost {
		wg.Add(1)
		go func() { defer wg.Done(); n.kill() }()
	}
	wg.Wait()
	for _, n := range lost {
		n.hide(t, true)
	}
	if code, out := survivor.recover("--gone", "node1,node2", "--accept-data-loss"); code != 1 || !strings.Contains(out, "was heard") {
		t.Errorf("nodes that were heard a moment ago may be declared gone: %d, %s", code, out)
	}
	var out string
	until(t, time.Minute, "a recovery would be possible", func() (ok bool) {
		code, said := survivor.recover("--gone", "node1,node2")
		out = said
		return code == 0
	})
	for _, want := range []string{"group 0 lost its majority: node3 would go on", "64 groups lost their majority", "what may be lost", "nothing was changed"} {
		if !strings.Contains(out, want) {
			t.Errorf("what would happen is said without %q:\n%s", want, out)
		}
	}
	if r := statusOf(survivor.addr); r.Served != 0 {
		t.Fatalf("%d groups are served by one of three", r.Served)
	}
	if code, said := survivor.recover("--gone", "node1"); code != 1 || !strings.Contains(said, "node2 did not answer") {
		t.Errorf("a node that is neither named nor answers is passed over: %d, %s", code, said)
	}
	from := time.Now()
	code, said := survivor.recover("--gone", "node1,node2", "--accept-data-loss")
	if code != 0 {
		t.Fatalf("the recovery ends with %d: %s", code, said)
	}
	t.Logf("all groups are served %v after the word", time.Since(from).Round(10*time.Millisecond))
	alone := newClient(t, []string{survivor.addr})
	for i := range keys {
		if v, err := alone.Get(t.Context(), recoverKey(i)); err != nil || string(v) != fmt.Sprint(i) {
			t.Fatalf("%s is %q, %v", recoverKey(i), v, err)
		}
	}
	if err := alone.Set(t.Context(), recoverKey(0), []byte("after")); err != nil {
		t.Fatal(err)
	}
	r := statusOf(survivor.addr)
	if len(r.Nodes) != 1 || !strings.Contains(strings.Join(r.Nodes[0].Notices, " "), "64 groups went on without node1, node2") {
		t.Errorf("status says nothing of it: %+v", r.Nodes)
	}
	for _, n := range nodes[3:] {
		n.start(t)
	}
	until(t, 2*time.Minute, "three whole copies again", func() bool { return statusOf(survivor.addr).lacking() == "" })
	sameCopies(t, addresses(nodes[2:]))
	for range 2 {
		for _, n := range lost {
			n.hide(t, false)
			n.start(t)
		}
		for _, n := range lost {
			n.ended(t, "removed from its cluster")
		}
	}
	three := newClient(t, addresses(nodes[2:]))
	if v, err := three.Get(t.Context(), recoverKey(0)); err != nil || string(v) != "after" {
		t.Errorf("%s is %q, %v after the old nodes came back", recoverKey(0), v, err)
	}
	if r := statusOf(survivor.addr); r.names() != "node3 node4 node5" || r.lacking() != "" {
		t.Errorf("the nodes are %s: %s", r.names(), r.lacking())
	}
}

// TestGroupsThatLostTheirMajorityAreRecovered destroys two of five nodes. Group 0 keeps its
// majority, and so do most groups; the others go on with the copy that is left. No key that
// was in step is lost, and three whole copies of everything are made on the nodes that are left.
func TestGroupsThatLostTheirMajorityAreRecovered(t *testing.T) {
	t.Parallel()
	base := freeBlock(t, portsEach*5)
	var lines, seeds []string
	for i := range 5 {
		seeds = append(seeds, fmt.Sprint("localhost:", base+portsEach*i+2))
	}
	for i := range 5 {
		lines = append(lines, fmt.Sprintf("./bin/aegis --no-supervise --id node%d --client-addr :%d --gossip-addr :%d --max-memory-bytes %d --lease-profile noisy --seeds %s",
			i+1, base+portsEach*i, base+portsEach*i+2, rigMemory, strings.Join(seeds, ",")))
	}
	nodes := prepare(t, lines...)
	for _, n := range nodes {
		n.start(t)
	}
	awaitMap(t, addresses(nodes))
	survivor := nodes[4]
	until(t, time.Minute, "five healthy nodes", func() bool { r := statusOf(survivor.addr); return r.Healthy && len(r.Nodes) == 5 })
	const keys = 300
	all := newClient(t, addresses(nodes))
	for i := range keys {
		if err := all.Set(t.Context(), recoverKey(i), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	until(t, time.Minute, "the copies are in step", func() bool { return statusOf(survivor.addr).Healthy })
	for _, n := range nodes[:2] {
		n.signal(syscall.SIGKILL)
	}
	for _, n := range nodes[:2] {
		n.kill()
		n.hide(t, true)
	}
	until(t, time.Minute, "a recovery would be possible", func() bool {
		code, _ := survivor.recover("--gone", "node1,node2")
		return code == 0
	})
	if served := statusOf(survivor.addr).Served; served == 0 || served == groups {
		t.Fatalf("%d groups are served without two of five nodes", served)
	}
	code, said := survivor.recover("--gone", "node1,node2", "--accept-data-loss")
	if code != 0 || strings.Contains(said, "group 0 lost") {
		t.Fatalf("the recovery ends with %d: %s", code, said)
	}
	three := newClient(t, addresses(nodes[2:]))
	for i := range keys {
		if v, err := three.Get(t.Context(), recoverKey(i)); err != nil || string(v) != fmt.Sprint(i) {
			t.Fatalf("%s is %q, %v", recoverKey(i), v, err)
		}
	}
	until(t, 2*time.Minute, "three whole copies on three nodes", func() bool { return statusOf(survivor.addr).lacking() == "" })
	sameCopies(t, addresses(nodes[2:]))
	if code, said := survivor.recover("--gone", "node1,node2", "--accept-data-loss"); code != 1 || !strings.Contains(said, "nothing is lost") {
		t.Errorf("the same word once more ends with %d: %s", code, said)
	}
}

func recoverKey(i int) string { return fmt.Sprint("recover:", i) }

// recover asks the node to go on without others.
func (n *restartable) recover(args ...string) (code int, out string) {
	cmd := exec.Command("./bin/aegis", append([]string{"recover", "--addr", n.addr}, args...)...)
	cmd.Dir = n.dir
	b, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(b)
}

// hide takes a node's data away, or brings it back.
func (n *restartable) hide(t *testing.T, away bool) {
	t.Helper()
	here := n.dir + "/data/" + n.name
	from, to := here, here+".away"
	if !away {
		from, to = to, from
	}
	if err := os.Rename(from, to); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// ended waits until a node has ended by itself, and wants its reason in its log.
func (n *restartable) ended(t *testing.T, why string) {
	t.Helper()
	done := make(chan struct{})
	go func() { _ = n.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		n.kill()
		t.Fatalf("%s runs on", n.name)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(n.logTail()), why) {
		t.Errorf("%s ends with %d and says\n%s", n.name, code, n.logTail())
	}
}
