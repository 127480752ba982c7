package clients

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// outageShare: at most one byte in so many is sent again.
const outageShare = 20

// TestAnOutageCostsWhatChanged: a node stands still while one key in a hundred changes.
// What it gets when it goes on is in proportion to that, once with all of it in the rings,
// and once when they do not reach back, so that copies are compared.
// AEGIS_TEST_OUTAGE says for how long; the bar's own time is 30 s, and its own keys,
// AEGIS_TEST_OUTAGE_KEYS, are 1,000,000 of 100 bytes.
func TestAnOutageCostsWhatChanged(t *testing.T) {
	t.Parallel()
	d := duration(t, "AEGIS_TEST_OUTAGE", 2*time.Second)
	keys := times(t, "AEGIS_TEST_OUTAGE_KEYS", 20_000)
	size := max(100, 40_000_000/keys)
	memory := max(160<<20, keys*320) // of each node; an eighth of it are rings
	nodes := launch(t, 3, fmt.Sprint(memory))
	addrs := addresses(nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	all := indexes(keys)
	set(t, nodes[0], all, strings.Repeat("v", size))
	sameCopies(t, addrs)
	still, changed := nodes[2], all[:keys/100]
	for _, off := range []bool{false, true} {
		data := figure(still.addr, "aegis_stores_held")
		rest := addrs[:2]
		still.signal(syscall.SIGSTOP)
		until(t, time.Minute, "the others serve all", func() bool { return statusOf(rest[0]).Served == groups })
		from := time.Now()
		if off { // the rings are written over, by the same keys
			for written, round := 0, 2_000_000/len(changed); written < memory*3/8; written += len(changed) * round {
				set(t, nodes[0], changed, incompressible(round))
			}
		}
		set(t, nodes[0], changed, strings.Repeat(fmt.Sprint(off)[:1], size))
		time.Sleep(time.Until(from.Add(d)))
		before := figure(rest[0], "aegis_catch_up_bytes") + figure(rest[1], "aegis_catch_up_bytes")
		still.signal(syscall.SIGCONT)
		from = time.Now()
		if n := sameCopies(t, addrs); n != keys {
			t.Errorf("%d keys are there, want %d", n, keys)
		}
		sent := figure(rest[0], "aegis_catch_up_bytes") + figure(rest[1], "aegis_catch_up_bytes") - before
		t.Logf("rings too short: %v: %d bytes sent beside the records, of %d (%.2f %%), equal after %v", off, sent, data, 100*float64(sent)/float64(data), time.Since(from).Round(time.Millisecond))
		if sent > data/outageShare || data < keys*size {
			t.Errorf("%d bytes for a copy of %d of which one key in a hundred changed", sent, data)
		}
		if off && sent < len(changed)*size {
			t.Errorf("%d bytes are less than what changed: the rings reached back", sent)
		}
	}
}

// set gives keys a value, through the gateway of a node.
func set(t *testing.T, n *restartable, keys []int, value string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: gatewayOf(n.addr), MaxRetries: -1, ReadTimeout: time.Minute})
	defer func() { _ = c.Close() }()
	for batch := range slices.Chunk(keys, 500) {
		_, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, i := range batch {
				p.Set(t.Context(), outageKey(i), value, 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func outageKey(i int) string { return fmt.Sprintf("outage:%08d", i) }
