package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	growthKeys  = 200_000
	growthPause = 300 * time.Millisecond // the longest that a call may take while a cluster grows
	growthLimit = 30 * time.Second       // until a newcomer has its copies
)

// TestGrowthUnderWrites grows a cluster from one node to two to three while it
// holds data and takes writes: no call fails or takes longer than the pause, every
// key has the value written last, and the copies on all nodes are equal.
func TestGrowthUnderWrites(t *testing.T) {
	for try := 1; ; try++ {
		if late := grow(t); late == 0 {
			return
		} else if try == tries {
			t.Fatal("inconclusive as often as it was tried: this machine is too noisy to judge, run again")
		} else {
			t.Logf("inconclusive: %d calls were slow while the witness was late", late)
		}
	}
}

// grow runs it once and counts the slow calls that the machine is to blame for.
func grow(t *testing.T) (disturbed int) {
	t.Helper()
	nodes := prepare(t, movedTo(freeBlock(t, portsEach*len(contract)))...)
	w := startWitness(t)
	nodes[0].start(t)
	until(t, startLimit, "the first node serves", func() bool { return statusOf(nodes[0].addr).Served == groups })
	values := fill(t, nodes[0].addr)
	c := newClient(t, addresses(nodes[:1]))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	g := &growthWrites{values: values}
	for worker := range workers {
		every(ctx, &wg, 2*time.Millisecond, func(i int) { g.write(c, worker, i) })
	}
	joined := func(n int, done func(r report) bool) {
		from := time.Now()
		nodes[n].start(t)
		until(t, growthLimit, "the newcomer has its copies", func() bool { return done(statusOf(nodes[0].addr)) })
		t.Logf("node %d has its copies %v after its start", n+1, time.Since(from).Round(time.Millisecond))
	}
	joined(1, func(r report) bool { return r.copies() == 2*groups && r.names() == "node1 node2" })
	joined(2, func(r report) bool { return r.lacking() == "" })
	from := time.Now()
	awaitMap(t, addresses(nodes)) // leases move to the newcomers
	t.Logf("leases %v, still for a second %v later", leases(nodes[0].addr), time.Since(from).Round(time.Millisecond))
	cancel()
	wg.Wait()
	disturbed = g.judge(t, w)
	if keys := sameCopies(t, addresses(nodes)); keys != growthKeys {
		t.Errorf("%d keys are there, want %d", keys, growthKeys)
	}
	verify(t, addresses(nodes), g.values)
	for _, n := range nodes {
		n.kill()
	}
	return disturbed
}

// leases counts the groups that each node serves.
func leases(addr string) map[string]int {
	n := map[string]int{}
	for name, by := range holders(addr) {
		n[name] = len(by)
	}
	return n
}

// copies counts the whole copies that are in step with their holder.
func (r report) copies() (n int) {
	for _, node := range r.Nodes {
		for _, g := range node.Groups {
			if g.Open && g.Whole {
				n += 1 + len(g.CaughtUp)
			}
		}
	}
	return n
}

func growthKey(i int) string { return fmt.Sprint("grown:", i) }

// fill writes the keys that the cluster holds before it grows.
func fill(t *testing.T, addr string) []string {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	values := make([]string, growthKeys)
	for batch := range slices.Chunk(indexes(growthKeys), 1000) {
		_, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, i := range batch {
				values[i] = fmt.Sprint(strings.Repeat("v", i%100), i)
				p.Set(t.Context(), growthKey(i), values[i], 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return values
}

func indexes(n int) []int {
	is := make([]int, n)
	for i := range is {
		is[i] = i
	}
	return is
}

// growthWrites are the calls made while the cluster grows.
type growthWrites struct {
	mu     sync.Mutex
	values []string // by key: what was written last
	calls  int
	slow   []lateness
	errs   []error
	max    time.Duration
}

// write gives a key a new value; a worker has keys of its own.
func (g *growthWrites) write(c *client.Client, worker, i int) {
	key := i*7919%(growthKeys/workers)*workers + worker
	value := fmt.Sprintf("%s:%d:%d", strings.Repeat("w", i%100), worker, i)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	start := time.Now()
	err := c.Set(ctx, growthKey(key), []byte(value))
	took := time.Since(start)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	g.max = max(g.max, took)
	if took > growthPause {
		g.slow = append(g.slow, lateness{start, took})
	}
	if err != nil {
		g.errs = append(g.errs, fmt.Errorf("%s: %w", growthKey(key), err))
		return
	}
	g.values[key] = value
}

func (g *growthWrites) judge(t *testing.T, w *witness) (disturbed int) {
	t.Helper()
	for _, s := range g.slow {
		if w.disturbed(s.at, s.at.Add(s.by), growthPause) {
			disturbed++
		} else {
			t.Errorf("a call took %v, over %v", s.by, growthPause)
		}
	}
	for _, err := range g.errs[:min(10, len(g.errs))] {
		t.Error(err)
	}
	t.Logf("%d writes while the cluster grew: %d errors, the slowest took %v", g.calls, len(g.errs), g.max)
	if g.calls < 1000 {
		t.Errorf("only %d writes", g.calls)
	}
	return disturbed
}

// shardCopy is what a node says of its copy of a shard (AEGIS.ADMIN digest).
type shardCopy struct {
	Shard   shardmap.ShardID
	Version uint64
	Digest  string
	Whole   bool
	Keys    int
}

// digests asks a node for all its copies.
func digests(t *testing.T, addr string) (copies []shardCopy) {
	t.Helper()
	text := ask(addr, "aegis.admin", "digest")
	if err := json.Unmarshal([]byte(text), &copies); err != nil {
		t.Fatalf("digests of %s: %v in %.200s", addr, err, text)
	}
	return copies
}

// sameCopies waits until the copies of all nodes are equal by digest, and counts
// their keys.
func sameCopies(t *testing.T, addrs []string) (keys int) {
	t.Helper()
	var first []shardCopy
	until(t, time.Minute, "the copies of all nodes are equal by digest", func() bool {
		first = digests(t, addrs[0])
		return !slices.ContainsFunc(addrs[1:], func(a string) bool { return !slices.Equal(digests(t, a), first) })
	})
	for _, c := range first {
		keys += c.Keys
		if !c.Whole {
			t.Errorf("the copies of shard %d are equal, but not whole", c.Shard)
		}
	}
	if len(first) != shardmap.DefaultLayout.Shards {
		t.Errorf("%d shards were compared", len(first))
	}
	return keys
}

// verify reads every key.
func verify(t *testing.T, addrs, values []string) {
	t.Helper()
	c, _ := goRedis(t, addrs...)
	wrong := 0
	for batch := range slices.Chunk(indexes(len(values)), 1000) {
		cmds, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, i := range batch {
				p.Get(t.Context(), growthKey(i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for at, cmd := range cmds {
			if got, want := cmd.(*redis.StringCmd).Val(), values[batch[at]]; got != want {
				if wrong++; wrong <= 10 {
					t.Errorf("%s is %q, want %q", growthKey(batch[at]), got, want)
				}
			}
		}
	}
	t.Logf("%d keys read, %d wrong", len(values), wrong)
}
