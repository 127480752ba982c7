package clients

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// capacityGrows is by how much more six nodes hold than three.
	capacityGrows = 1.85
	// capacityLent is how much of the stores' memory is lent to groups, in percent, once
	// all groups have the same budget: where nodes are alike groups can be shared out evenly.
	capacityLent = 98
	// capacitySame is how much less it may be than it was, back at three.
	capacitySame = 0.97
	// capacityBatch is how many entries are written between two looks at what is there.
	capacityBatch = 500
)

// TestCapacityGrows takes three nodes to six and back to three, each time after they have
// been filled, and counts how many entries of 1 KiB are held without a single one being
// evicted: 1.85 times as many at least, and in the end what it was. All the time no node
// takes more of the machine's memory than it may, and while nodes come and go majority
// writes survive. AEGIS_TEST_CAPACITY is the memory of each node, and has what the process
// takes judged by that very limit; otherwise it may take a tenth more and churnSlack, as
// elsewhere.
func TestCapacityGrows(t *testing.T) {
	memory := times(t, "AEGIS_TEST_CAPACITY", 64<<20)
	base := freeBlock(t, portsEach*6)
	var lines []string
	for i := range 6 {
		lines = append(lines, lineOf(base, i, memory))
	}
	nodes := prepare(t, lines...)
	for _, n := range nodes[:3] {
		n.start(t)
	}
	awaitMap(t, addresses(nodes[:3]))
	c := &capacity{nodes: nodes[:3], value: strings.Repeat("c", 1024)}
	watched := c.watch(t)
	until(t, startLimit, "three healthy nodes", func() bool { return healthy(nodes[0].addr) })
	three := c.measure(t)
	c.whileWritten(t, func() {
		for _, n := range nodes[3:] {
			n.start(t)
		}
		c.add(nodes[3:])
		until(t, elasticLimit, "six nodes have their copies and budgets", func() bool { return c.rests(6, capacityLent) })
	})
	six := c.measure(t)
	c.whileWritten(t, func() {
		for _, n := range nodes[3:] {
			if a := ask(nodes[0].addr, "aegis.admin", "decommission", n.name); !strings.Contains(a, "leaving") {
				t.Fatalf("decommission of %s: %s", n.name, a)
			}
		}
		until(t, elasticLimit, "three nodes have all", func() bool { return statusOf(nodes[0].addr).lacking() == "" && c.rests(3, capacityLent) })
	})
	again := c.measure(t)
	most := watched()
	t.Logf("three nodes of %d MiB hold %d entries of 1 KiB, six %d (%.2f times), three again %d; a node took %d MiB at most", memory>>20, three, six, float64(six)/float64(three), again, most>>20)
	if float64(six) < capacityGrows*float64(three) {
		t.Errorf("six nodes hold %d entries, three %d: under %.2f times", six, three, capacityGrows)
	}
	if float64(again) < capacitySame*float64(three) {
		t.Errorf("three nodes hold %d entries and held %d before there were six", again, three)
	}
	bar := int64(memory)
	if os.Getenv("AEGIS_TEST_CAPACITY") == "" {
		bar = bar/10*11 + churnSlack
	}
	if most > bar {
		t.Errorf("a node took %d MiB, the bar is %d", most>>20, bar>>20)
	}
}

// lineOf is the command of the i-th of several nodes with a memory limit.
func lineOf(base, i, memory int) string {
	seeds := ""
	if i > 0 {
		seeds = fmt.Sprintf(" --seeds localhost:%d", base+2)
	}
	return fmt.Sprintf("./bin/aegis --id node%d --client-addr :%d --gossip-addr :%d --max-memory-bytes %d%s",
		i+1, base+portsEach*i, base+portsEach*i+2, memory, seeds)
}

// capacity is a cluster that is filled until it evicts.
type capacity struct {
	value string

	mu    sync.Mutex
	nodes []*restartable // also those that have left
}

func (c *capacity) add(nodes []*restartable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes[:len(c.nodes):len(c.nodes)], nodes...)
}

// watch looks at what every node takes until it is asked for the most.
func (c *capacity) watch(t *testing.T) (most func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var wg sync.WaitGroup
	peak := int64(0)
	every(ctx, &wg, 20*time.Millisecond, func(int) {
		c.mu.Lock()
		nodes := c.nodes
		c.mu.Unlock()
		for _, n := range nodes {
			peak = max(peak, resident(n.cmd.Process.Pid))
		}
	})
	return func() int64 {
		cancel()
		wg.Wait()
		return peak
	}
}

// rests reports whether so many nodes have their copies, and budgets that fill them to
// so many percent.
func (c *capacity) rests(count, percent int) bool {
	r := statusOf(c.nodes[0].addr)
	if !r.Healthy || len(placesOf(r)) != count || !strings.Contains(ask(c.nodes[0].addr, "aegis.admin", "rebalance"), `"steps":[]`) {
		return false
	}
	for _, n := range c.nodes[:count] {
		if memoryFigure(n.addr, "aegis_stores_budget") < memoryFigure(n.addr, "aegis_stores_limit")/100*int64(percent) {
			return false
		}
	}
	return true
}

// measure empties the cluster and writes entries until one that was written is not there:
// so many less are held, as far as batches tell.
func (c *capacity) measure(t *testing.T) (held int) {
	t.Helper()
	g := redis.NewClient(&redis.Options{Addr: gatewayOf(c.nodes[0].addr), MaxRetries: -1, ReadTimeout: time.Minute})
	defer func() { _ = g.Close() }()
	from := time.Now()
	if err := g.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("FLUSHALL after %v: %v", time.Since(from), err)
	}
	for n := 0; ; n += capacityBatch {
		if there := g.DBSize(t.Context()).Val(); int(there) < n {
			t.Logf("%d entries were written, %d are there", n, there)
			return n - capacityBatch
		}
		if _, err := g.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := range capacityBatch {
				p.Set(t.Context(), fmt.Sprintf("capacity:%08d", n+i), c.value, 0)
			}
			return nil
		}); err != nil {
			t.Fatalf("after %d writes: %v", n, err)
		}
	}
}

// whileWritten changes the cluster, which is full, under majority writes: all survive.
func (c *capacity) whileWritten(t *testing.T, change func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	load := majorityLoad(ctx, t, &wg, addresses(c.nodes[:3]))
	from := time.Now()
	change()
	t.Logf("it took %v", time.Since(from).Round(100*time.Millisecond))
	cancel()
	wg.Wait()
	load.verify(t, newClient(t, addresses(c.nodes[:3])), 100)
}

// TestANodeWithHalfTheMemoryGetsHalfTheGroups adds one with half of what three others
// have: its groups are as much fewer as its memory for stores is less, which costs no
// group any budget. (That is 0.53 of theirs: a limit of 128 MiB does not hold the whole
// process, one of 256 MiB does.)
func TestANodeWithHalfTheMemoryGetsHalfTheGroups(t *testing.T) {
	t.Parallel()
	const whole, half = 256 << 20, 128 << 20
	// lent is less than where nodes are alike: groups are whole. The small node's share is
	// 28.6 of them; with 28 it lends 1/28.6 of its memory to nobody, with 29 the others do.
	const lent = 96
	base := freeBlock(t, portsEach*4)
	nodes := prepare(t, lineOf(base, 0, whole), lineOf(base, 1, whole), lineOf(base, 2, whole), lineOf(base, 3, half))
	for _, n := range nodes[:3] {
		n.start(t)
	}
	awaitMap(t, addresses(nodes[:3]))
	nodes[3].start(t)
	c := &capacity{nodes: nodes}
	until(t, elasticLimit, "four nodes have their copies and budgets", func() bool { return c.rests(4, lent) })
	places := placesOf(statusOf(nodes[0].addr))
	small := len(places[nodes[3].name])
	memory := func(n *restartable) float64 { return float64(memoryFigure(n.addr, "aegis_stores_limit")) }
	due := memory(nodes[3]) / memory(nodes[0])
	if due < .45 || due > .55 {
		t.Errorf("the node with half the memory has %.2f of it for its stores", due)
	}
	for _, n := range nodes[:3] {
		if share := float64(small) / float64(len(places[n.name])); share < due-.04 || share > due+.04 {
			t.Errorf("%s has %d groups, the node with %.2f of its memory %d", n.name, len(places[n.name]), due, small)
		}
	}
	t.Logf("the node with half the memory has %d groups, the others %d to %d", small, (groups*3-small)/3, (groups*3-small+2)/3)
}
