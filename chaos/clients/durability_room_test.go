package clients

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDurabilityWithLessMemory kills three nodes -9 and starts them with less memory than
// their logs and images have data for: each reads within its limit, the copies become equal,
// and what is there is the newest that was written.
func TestDurabilityWithLessMemory(t *testing.T) {
	t.Parallel()
	const before, after, keys, size = 128 << 20, 32 << 20, 25_000, 1000
	nodes := launch(t, 3, fmt.Sprint(before, " --lease-profile noisy --wal write"))
	addrs := addresses(nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	set(t, nodes[0], indexes(keys), strings.Repeat("o", size))
	checkpoint(t, nodes[0])
	set(t, nodes[0], indexes(keys/5), strings.Repeat("n", size))
	sameCopies(t, addrs)
	for _, n := range nodes {
		n.kill()
		n.line = strings.Replace(n.line, fmt.Sprint(before), fmt.Sprint(after), 1)
	}
	for _, n := range nodes {
		n.start(t)
	}
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	there := sameCopies(t, addrs)
	for _, n := range nodes {
		peak := figure(n.addr, "used_memory_peak")
		t.Logf("%s: %d MiB at most", n.name, peak>>20)
		if peak > after {
			t.Errorf("%s held %d bytes with a limit of %d", n.name, peak, after)
		}
		if !bytes.Contains(n.logged(), []byte("more than this node has memory for")) {
			t.Errorf("%s left something out, or nothing, and says nothing of it", n.name)
		}
	}
	c := newClient(t, addrs)
	for i := 0; i < keys; i += 7 {
		v, err := c.Get(t.Context(), fmt.Sprintf("outage:%08d", i))
		want := "o"
		if i < keys/5 {
			want = "n"
		}
		if err == nil && string(v) != strings.Repeat(want, size) {
			t.Fatalf("key %d has %.20q", i, v)
		}
	}
	t.Logf("%d of %d keys are there", there, keys)
	if there < keys/4 {
		t.Errorf("only %d of %d keys are there", there, keys)
	}
}
