package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tool runs the binary under test as an operator does, and gives what it says.
func tool(t *testing.T, args ...string) (out, said string, err error) {
	t.Helper()
	var o, e strings.Builder
	cmd := exec.CommandContext(t.Context(), buildAegis(t), args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// TestBackupWhileAHolderDies copies three nodes under writes, kills the one that leads most in
// the middle, and restores the copy into one node with other shards: every key that was
// there before is there again, and every majority write that was acknowledged before.
func TestBackupWhileAHolderDies(t *testing.T) {
	t.Parallel()
	const keys, size = 10_000, 500
	nodes := launch(t, 3, "128MiB")
	addrs := addresses(nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	value := incompressible(size)
	set(t, nodes[0], indexes(keys), value)
	sameCopies(t, addrs)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	load := majorityLoad(ctx, t, &wg, addrs)
	acked := func() map[string]int {
		load.mu.Lock()
		defer load.mu.Unlock()
		return maps.Clone(load.max)
	}
	until(t, time.Minute, "majority writes are acknowledged", func() bool { return len(acked()) >= 100 })
	before := acked()
	dir := filepath.Join(t.TempDir(), "copy")
	victim, leads := busiest(nodes)
	type result struct {
		out, said string
		err       error
	}
	done := make(chan result, 1)
	go func() {
		out, said, err := tool(t, "backup", dir, "--addr", strings.Join(addrs, ","), "--rate", "700KB", "-o", "json")
		done <- result{out, said, err}
	}()
	until(t, time.Minute, "shards are copied", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "shard-*.aegis"))
		return len(files) > 30
	})
	victim.kill()
	r := <-done
	var told struct {
		Keys, ShardsRedone int
		Seconds            float64
	}
	if err := json.Unmarshal([]byte(r.out), &told); r.err != nil || err != nil {
		t.Fatalf("backup: %v, %v; %s %s", r.err, err, r.out, r.said)
	}
	cancel()
	wg.Wait()
	to := launch(t, 1, "256MiB --num-shards 64")[0]
	until(t, time.Minute, "the node serves", func() bool { return strings.Contains(ask(to.addr, "cluster", "info"), "cluster_state:ok") })
	out, said, err := tool(t, "snapshot", "restore", dir, "--addr", to.addr)
	if err != nil {
		t.Fatalf("restore: %v; %s %s", err, out, said)
	}
	c := newClient(t, []string{to.addr})
	for i := range keys {
		if v, err := c.Get(t.Context(), fmt.Sprintf("outage:%08d", i)); err != nil || string(v) != value {
			t.Fatalf("key %d has %.20q, %v", i, v, err)
		}
	}
	for key, n := range before {
		v, err := c.Get(t.Context(), key)
		if got, _ := strconv.Atoi(string(v)); err != nil || got < n {
			t.Errorf("%s is %q, %v; %d was acknowledged before the backup began", key, v, err, n)
		}
	}
	t.Logf("%d keys copied in %.1f s, %d shards begun again because the node that led %d groups died; %s", told.Keys, told.Seconds, told.ShardsRedone, leads, strings.TrimSpace(out))
	if told.ShardsRedone == 0 {
		t.Error("the node died after its last shard was copied: the test shows nothing")
	}
	if told.Keys < keys+len(before) {
		t.Errorf("the backup has %d keys", told.Keys)
	}
}
