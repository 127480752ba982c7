package clients

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// replaceAfter is how long these nodes miss another one before they replace it.
const replaceAfter = 5 * time.Second

// TestAKilledNodeIsReplaced kills one of four nodes -9 under load and leaves it dead: the
// three others make its copies among them, equal by digest, and lose no majority write.
// When it comes back it is told that it was removed, and ends. AEGIS_TEST_REPLACED says how
// often: each time a blank node takes the place of the one that was lost.
func TestAKilledNodeIsReplaced(t *testing.T) {
	t.Parallel()
	base := freeBlock(t, portsEach*4)
	line := func(i int) string {
		seeds := ""
		if i > 0 {
			seeds = fmt.Sprintf(" --seeds localhost:%d", base+2)
		}
		return fmt.Sprintf("./bin/aegis --no-supervise --id node%d --client-addr :%d --gossip-addr :%d --max-memory-bytes %d --lease-profile noisy --replace-after %v%s",
			i+1, base+portsEach*i, base+portsEach*i+2, rigMemory, replaceAfter, seeds)
	}
	nodes := prepare(t, line(0), line(1), line(2), line(3))
	for _, n := range nodes {
		n.start(t)
	}
	awaitMap(t, addresses(nodes))
	victim, rest := nodes[3], nodes[:3]
	for range times(t, "AEGIS_TEST_REPLACED", 1) {
		until(t, time.Minute, "four healthy nodes", func() bool { r := statusOf(rest[0].addr); return r.Healthy && len(r.Nodes) == 4 })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		load := majorityLoad(ctx, t, &wg, addresses(nodes))
		until(t, time.Minute, "writes are acknowledged", func() bool {
			load.mu.Lock()
			defer load.mu.Unlock()
			return load.n > 200
		})
		from := time.Now()
		victim.kill()
		until(t, time.Minute, "the three others hold all copies", func() bool { return statusOf(rest[0].addr).lacking() == "" })
		t.Logf("replaced %v after its death", time.Since(from).Round(10*time.Millisecond))
		if early := time.Since(from) < replaceAfter-time.Second; early {
			t.Error("it was replaced before it was missed for long enough")
		}
		cancel()
		wg.Wait()
		sameCopies(t, addresses(rest))
		load.verify(t, newClient(t, addresses(rest)), 100)
		victim.isTurnedAway(t)
		if err := os.RemoveAll(victim.dir + "/data/" + victim.name); err != nil {
			t.Fatal(err)
		}
		victim.start(t)
	}
	until(t, time.Minute, "a blank node takes its place", func() bool { return len(statusOf(rest[0].addr).Nodes) == 4 })
}

// isTurnedAway starts a node that was removed: it says so, what to do, and ends.
func (n *restartable) isTurnedAway(t *testing.T) {
	t.Helper()
	n.start(t)
	done := make(chan error, 1)
	go func() { done <- n.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		n.signal(syscall.SIGKILL)
		t.Fatalf("%s runs on although it was removed", n.name)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 1 || !bytes.Contains(n.logTail(), []byte("joins as a new node")) {
		t.Errorf("%s, removed, ends with %d and says\n%s", n.name, code, n.logTail())
	}
}
