package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

const (
	elasticEvery = 2 * time.Millisecond // of each of three clients: 1,500 operations a second in all
	elasticLimit = 3 * time.Minute      // until nodes have come or gone
	// elasticP99 is by how much the slowest calls may be slower while copies move.
	elasticP99 = 2
	// movedMax is by how much more than a newcomer's share may move.
	movedMax = 1.1
	// parked is how long a request waits for a lease.
	parked = 200 * time.Millisecond
)

// TestElastic takes three nodes to five and back to three, by decommission, under a
// mixed load of three clients: none sees an error, no majority write is lost, the copies
// are equal, and no more moves than the newcomers' share. AEGIS_TEST_ELASTIC says for how
// long it looks at the load before, and has the latencies judged; AEGIS_TEST_ELASTIC_KEYS
// how many keys move.
func TestElastic(t *testing.T) {
	judged := os.Getenv("AEGIS_TEST_ELASTIC") != "" // and alone: beside others it is disturbed, and begins again
	for try := 1; ; try++ {
		before, during, disturbed := elastic(t, judged)
		t.Logf("p99 before %v, while nodes came and went %v", before, during)
		if !disturbed && (!judged || during <= elasticP99*before) {
			return
		}
		if !disturbed {
			t.Errorf("p99 is %v while copies move, over %d times %v", during, elasticP99, before)
			return
		}
		if try == tries {
			t.Fatal("inconclusive as often as it was tried: this machine is too noisy to judge, run again")
		}
	}
}

// elastic runs it once.
func elastic(t *testing.T, judged bool) (before, during time.Duration, disturbed bool) {
	t.Helper()
	base := freeBlock(t, portsEach*5)
	lines := slices.Clone(contract)
	for i := 3; i < 5; i++ {
		lines = append(lines, fmt.Sprintf("./bin/aegis --id node%d --client-addr :70%d0 --gossip-addr :70%d2 --seeds localhost:7002", i+1, i, i))
	}
	for i := range lines {
		lines[i] = onPorts(lines[i], base) + " --max-memory-bytes 256MiB"
	}
	nodes := prepare(t, lines...)
	for _, n := range nodes[:3] {
		n.start(t)
	}
	addrs := addresses(nodes[:3])
	until(t, startLimit, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	awaitMap(t, addrs)
	fillElastic(t, addrs, times(t, "AEGIS_TEST_ELASTIC_KEYS", 20_000))
	w := startWitness(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	l := startMixed(ctx, t, &wg, addrs)
	majority := majorityLoad(ctx, t, &wg, addrs)
	wait(ctx, duration(t, "AEGIS_TEST_ELASTIC", time.Second))
	before = l.p99()
	from := time.Now()
	l.grow(t, nodes)
	l.shrink(t, nodes)
	neverAlone(t, nodes, from)
	if judged {
		disturbed = w.disturbed(from, time.Now(), 10*time.Millisecond)
	}
	during = l.p99()
	cancel()
	wg.Wait()
	disturbed = l.judge(t, w) || disturbed
	majority.verify(t, newClient(t, addrs), 10)
	sameCopies(t, addrs)
	for _, n := range nodes[:3] {
		n.kill()
	}
	return before, during, disturbed
}

// grow lets two nodes join and looks at what moved.
func (l *mixed) grow(t *testing.T, nodes []*restartable) {
	t.Helper()
	was := placesOf(statusOf(nodes[0].addr))
	from := time.Now()
	nodes[3].start(t)
	nodes[4].start(t)
	until(t, elasticLimit, "five nodes have their copies", func() bool {
		r := statusOf(nodes[0].addr)
		return r.Healthy && len(placesOf(r)) == 5 && strings.Contains(ask(nodes[0].addr, "aegis.admin", "rebalance"), `"steps":[]`)
	})
	took := time.Since(from)
	moved := 0
	for name, at := range placesOf(statusOf(nodes[0].addr)) {
		for _, g := range at {
			if !slices.Contains(was[name], g) {
				moved++
			}
		}
	}
	ideal := 2. / 5 * groups * 3
	t.Logf("3 to 5 nodes in %v: %d of %d copies moved, ideal %.1f", took.Round(time.Millisecond), moved, groups*3, ideal)
	if float64(moved) > movedMax*ideal+2 {
		t.Errorf("%d copies moved, ideal %.1f", moved, ideal)
	}
	until(t, elasticLimit, "the copies of five nodes are equal", func() bool { return unlikeCopies(t, nodes) == "" })
}

// shrink decommissions the two newcomers at once.
func (l *mixed) shrink(t *testing.T, nodes []*restartable) {
	t.Helper()
	from := time.Now()
	for _, n := range nodes[3:] {
		if a := ask(nodes[0].addr, "aegis.admin", "decommission", n.name); !strings.Contains(a, "leaving") {
			t.Fatalf("decommission of %s: %s", n.name, a)
		}
	}
	for _, n := range nodes[3:] {
		n.leaves(t, elasticLimit)
	}
	until(t, elasticLimit, "three nodes have all", func() bool { return statusOf(nodes[0].addr).lacking() == "" })
	t.Logf("5 to 3 nodes in %v", time.Since(from).Round(time.Millisecond))
}

// neverAlone reads in the nodes' logs which copies counted of each group, at every
// moment since: a holder and a complete follower at least, whatever moved.
func neverAlone(t *testing.T, nodes []*restartable, since time.Time) {
	t.Helper()
	seen := 0
	for _, n := range nodes {
		log, err := os.ReadFile(n.logPath())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			var said struct {
				TS                  time.Time
				Msg, Groups, Copies string
			}
			if json.Unmarshal([]byte(line), &said) != nil || said.TS.Before(since) || said.Msg != "group opened" && said.Msg != "other copies count" {
				continue
			}
			seen++
			if len(strings.Fields(said.Copies)) < 2 {
				t.Errorf("%s: %s, of groups %s the copies at %q", n.name, said.Msg, said.Groups, said.Copies)
			}
		}
	}
	if seen < groups/2 {
		t.Errorf("the nodes told %d changes of copies only", seen)
	}
}

// placesOf are the groups of which each node has a copy that counts.
func placesOf(r report) map[string][]int {
	names := map[uint32]string{}
	for _, n := range r.Nodes {
		names[n.Node] = n.Name
	}
	by := map[string][]int{}
	for _, n := range r.Nodes {
		for _, g := range n.Groups {
			if !g.Open {
				continue
			}
			for _, s := range g.Seats {
				by[names[s]] = append(by[names[s]], g.Group)
			}
		}
	}
	return by
}

// unlikeCopies names a shard of which two nodes have different copies, "" none.
func unlikeCopies(t *testing.T, nodes []*restartable) string {
	t.Helper()
	first := map[int]shardCopy{}
	for _, n := range nodes {
		for _, c := range digests(t, n.addr) {
			s := int(c.Shard)
			if f, ok := first[s]; ok && (f.Digest != c.Digest || f.Version != c.Version) || !c.Whole {
				return fmt.Sprintf("shard %d at %s", s, n.name)
			}
			first[s] = c
		}
	}
	return ""
}

func elasticKey(i int) string { return fmt.Sprint("elastic:", i) }

// fillElastic writes what is to move: values of 1 KiB.
func fillElastic(t *testing.T, addrs []string, keys int) {
	t.Helper()
	c, _ := goRedis(t, addrs...)
	value := strings.Repeat("e", 1024)
	for batch := range slices.Chunk(indexes(keys), 500) {
		if _, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for _, i := range batch {
				p.Set(t.Context(), elasticKey(i), value, 0)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// mixed is a load of reads and writes by three clients.
type mixed struct {
	mu    sync.Mutex
	took  []time.Duration // since p99 was last asked
	calls map[string]int
	errs  []mixedError
}

// mixedError is a call that failed.
type mixedError struct {
	at, end time.Time
	why     string
}

// startMixed begins the load: each client reads and writes keys of its own in turn.
func startMixed(ctx context.Context, t *testing.T, wg *sync.WaitGroup, addrs []string) *mixed {
	t.Helper()
	l := &mixed{calls: map[string]int{}}
	g, _ := goRedis(t, addrs...)
	r, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	own := newClient(t, addrs)
	l.drive(ctx, wg, "go-redis", func(ctx context.Context, key, value string) error {
		if value == "" {
			return missIsFine(g.Get(ctx, key).Err())
		}
		return g.Set(ctx, key, value, 0).Err()
	})
	l.drive(ctx, wg, "rueidis", func(ctx context.Context, key, value string) error {
		if value == "" {
			return missIsFine(r.Do(ctx, r.B().Get().Key(key).Build()).Error())
		}
		return r.Do(ctx, r.B().Set().Key(key).Value(value).Build()).Error()
	})
	l.drive(ctx, wg, "our client", func(ctx context.Context, key, value string) error {
		if value == "" {
			_, err := own.Get(ctx, key)
			return missIsFine(err)
		}
		return own.Set(ctx, key, []byte(value))
	})
	return l
}

// missIsFine takes a miss for what it is.
func missIsFine(err error) error {
	if errors.Is(err, redis.Nil) || rueidis.IsRedisNil(err) || err != nil && strings.Contains(err.Error(), "not found") {
		return nil
	}
	return err
}

// drive lets one client work at a pace, in a few goroutines so that one slow call does
// not hide the next.
func (l *mixed) drive(ctx context.Context, wg *sync.WaitGroup, name string, do func(ctx context.Context, key, value string) error) {
	for worker := range workers {
		every(ctx, wg, elasticEvery*workers, func(i int) {
			value := ""
			if i%4 == 0 {
				value = fmt.Sprint("value of ", i)
			}
			one, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			start := time.Now()
			err := do(one, fmt.Sprintf("%s:%d:%d", name, worker, i*7919%10_000), value)
			took := time.Since(start)
			cancel()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.calls[name]++
			l.took = append(l.took, took)
			if err != nil {
				l.errs = append(l.errs, mixedError{start, start.Add(took), fmt.Sprintf("%s, call %d, after %v: %v", name, i, took, err)})
			}
		})
	}
}

// p99 of the calls since it was last asked.
func (l *mixed) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = nil
	return quantile(took, .99)
}

// judge fails for every error that the machine is not to blame for: one that stands for
// as long as requests are parked has CLUSTERDOWN as an answer.
func (l *mixed) judge(t *testing.T, w *witness) (disturbed bool) {
	t.Helper()
	t.Logf("calls %v, errors %d", l.calls, len(l.errs))
	for _, e := range l.errs[:min(10, len(l.errs))] {
		if w.disturbed(e.at.Add(-parked), e.end, parked) {
			disturbed = true
			t.Log("while the machine stood: ", e.why)
		} else {
			t.Error(e.why)
		}
	}
	for name, n := range l.calls {
		if n < 200 {
			t.Errorf("%s made %d calls only", name, n)
		}
	}
	return disturbed
}
