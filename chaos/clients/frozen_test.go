package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/redis/go-redis/v9"
)

const (
	// frozenRSS and frozenP99 are by how much a leader may be larger and slower while a
	// follower stands still.
	frozenRSS = 1.05
	frozenP99 = 1.20
	// frozenKeys are there, of frozenValue bytes; one in a hundred is written all the time.
	frozenKeys  = 40_000
	frozenValue = 600
	// frozenRate is the paced load, operations a second: as much as leaves the witness in
	// peace on two cores, which writers at full speed do not.
	frozenRate = 3000
	// frozenSteady is for how long nodes must not have grown before one of them is stopped:
	// the garbage of the Go heap comes to its bound in some seconds of such a load.
	frozenSteady = time.Second
	// frozenMemory is small, so that this is soon.
	frozenMemory = 128 << 20
	// frozenShare: at most one byte in so many is sent again, where the rings were written
	// over many times at full load. A full copy is one in one.
	frozenShare = 10
	// frozenWindow is in how long a time calls do not count when a process that only sleeps
	// was late in it.
	frozenWindow = 100 * time.Millisecond
)

// frozenCluster is three nodes with data, and which of them stands still.
type frozenCluster struct {
	addrs []string // of those that go on
	still *restartable
	rest  []*restartable
	led   []bool // by key: its group is led by one that goes on
	hot   []int
}

func launchFrozen(t *testing.T) *frozenCluster {
	t.Helper()
	nodes := launch(t, 3, fmt.Sprint(frozenMemory))
	c := &frozenCluster{addrs: addresses(nodes[:2]), still: nodes[2], rest: nodes[:2], hot: indexes(frozenKeys)[:frozenKeys/100]}
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(c.addrs[0]) })
	set(t, nodes[0], indexes(frozenKeys), incompressible(frozenValue))
	gone := holders(c.addrs[0])[c.still.name]
	for _, i := range c.hot {
		c.led = append(c.led, !slices.Contains(gone, int(shardmap.DefaultLayout.GroupOf(shardOf(outageKey(i))))-1))
	}
	return c
}

// TestFrozenFollower stops a node (SIGSTOP) while one key in a hundred is written over and
// over: those that lead do not grow and become no slower, and the node, when it goes on,
// is not given a full copy. AEGIS_TEST_FROZEN says for how long it stands, and has times
// judged; the bar's own time is two minutes.
func TestFrozenFollower(t *testing.T) {
	t.Run("full load", frozenAtFullLoad)
	if os.Getenv("AEGIS_TEST_FROZEN") != "" {
		t.Run("latency", frozenUnderPace)
	}
}

// frozenAtFullLoad writes as fast as two writers can, which is all that the machine gives.
// Times here are those of a queue for its cores, so only the rate is judged.
func frozenAtFullLoad(t *testing.T) {
	d, judged := duration(t, "AEGIS_TEST_FROZEN", 2*time.Second), os.Getenv("AEGIS_TEST_FROZEN") != ""
	c := launchFrozen(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	load := &fullLoad{}
	for _, n := range c.rest {
		wg.Go(func() { load.run(ctx, n, c.hot) })
	}
	until(t, time.Minute, "the rings are full", func() bool {
		return !slices.ContainsFunc(c.addrs, func(a string) bool {
			return memoryFigure(a, "mem_replication_backlog") < memoryFigure(a, "aegis_rings_limit")*9/10
		})
	})
	before := c.most(t, time.Second)
	until(t, time.Minute, "they have taken all they take", func() bool {
		was := before
		before = c.most(t, frozenSteady)
		return !slices.ContainsFunc(indexes(len(was)), func(i int) bool { return before[i] > was[i]+was[i]/100 })
	})
	load.since()
	for i, m := range c.most(t, d/4) {
		before[i] = max(before[i], m)
	}
	rate, p99 := load.since()
	c.still.signal(syscall.SIGSTOP)
	until(t, time.Minute, "it stands still", c.still.stopped)
	during := c.most(t, d)
	rateThen, p99Then := load.since()
	cancel()
	wg.Wait()
	for i, n := range c.rest {
		t.Logf("%s took %d MiB at most, %d while a follower stood still", n.name, before[i]>>20, during[i]>>20)
		if float64(during[i]) > frozenRSS*float64(before[i]) {
			t.Errorf("%s grew from %d to %d bytes: over %.2f times", n.name, before[i], during[i], frozenRSS)
		}
	}
	t.Logf("%.0f writes a second in batches, p99 of a batch %v; while it stood %.0f and %v", rate, p99, rateThen, p99Then)
	if judged && rateThen < rate/frozenP99 {
		t.Errorf("writers were slowed down: %.0f to %.0f a second", rate, rateThen)
	}
	c.catchesUp(t)
}

// most is what each node that goes on takes at most within a time.
func (c *frozenCluster) most(t *testing.T, d time.Duration) []int64 {
	t.Helper()
	most := make([]int64, len(c.rest))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for from := time.Now(); time.Since(from) < d; <-tick.C {
		for i, n := range c.rest {
			most[i] = max(most[i], takes(t, n))
		}
	}
	return most
}

// catchesUp lets the node go on: it gets what it lacks and not all.
func (c *frozenCluster) catchesUp(t *testing.T) {
	t.Helper()
	sent := func() (n int) {
		for _, a := range c.addrs {
			n += figure(a, "aegis_catch_up_bytes")
		}
		return n
	}
	before, data := sent(), figure(c.addrs[0], "aegis_stores_held")
	from := time.Now()
	c.still.signal(syscall.SIGCONT)
	if n := sameCopies(t, append([]string{c.still.addr}, c.addrs...)); n != frozenKeys {
		t.Errorf("%d keys are there, want %d", n, frozenKeys)
	}
	bytes := sent() - before
	t.Logf("it goes on: %d bytes beside the records, of %d (%.2f %%), equal after %v", bytes, data, 100*float64(bytes)/float64(data), time.Since(from).Round(time.Millisecond))
	if bytes > data/frozenShare || data < frozenKeys*frozenValue {
		t.Errorf("%d bytes for a copy of %d of which one key in a hundred changed", bytes, data)
	}
}

// fullLoad writes as fast as it can and keeps how long its batches took.
type fullLoad struct {
	mu     sync.Mutex
	from   time.Time
	writes int
	took   []time.Duration
}

// fullBatch is how many writes are one pipeline.
const fullBatch = 50

// run writes keys in turn, through the gateway of a node. A batch that fails, as some do
// until a lease has changed hands, is written again with the next round.
func (l *fullLoad) run(ctx context.Context, n *restartable, keys []int) {
	c := redis.NewClient(&redis.Options{Addr: gatewayOf(n.addr), MaxRetries: -1, ReadTimeout: time.Minute})
	defer func() { _ = c.Close() }()
	for round := 0; ctx.Err() == nil; round++ {
		value := incompressible(frozenValue + round%16)
		for batch := range slices.Chunk(keys, fullBatch) {
			from := time.Now()
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, i := range batch {
					p.Set(ctx, outageKey(i), value, 0)
				}
				return nil
			})
			if err != nil {
				continue
			}
			l.mu.Lock()
			l.writes += len(batch)
			l.took = append(l.took, time.Since(from))
			l.mu.Unlock()
		}
	}
}

// since gives writes a second and the p99 of batches since it was last asked.
func (l *fullLoad) since() (rate float64, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate, p99 = float64(l.writes)/time.Since(l.from).Seconds(), quantile(l.took, .99)
	l.from, l.writes, l.took = time.Now(), 0, nil
	return rate, p99
}

// frozenUnderPace writes at a rate that leaves the machine in peace, and compares the p99
// of writes to groups that the others lead, but for the moments in which a process beside
// them that only sleeps was late.
func frozenUnderPace(t *testing.T) {
	d := duration(t, "AEGIS_TEST_FROZEN", time.Second)
	c := launchFrozen(t)
	w := startWitness(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	l := &pacedLoad{}
	l.start(ctx, t, &wg, c)
	wait(ctx, min(d, 5*time.Second)) // connections are made, rings fill
	l.p99(w)
	wait(ctx, d)
	before, quiet := l.p99(w)
	c.still.signal(syscall.SIGSTOP)
	until(t, time.Minute, "it stands still", c.still.stopped)
	wait(ctx, d)
	during, then := l.p99(w)
	cancel()
	wg.Wait()
	t.Logf("p99 of a write %v (%.0f %% of the time was quiet), %v while a follower stood still (%.0f %%)", before, 100*quiet, during, 100*then)
	switch {
	case l.failed > 0:
		t.Errorf("%d writes failed to groups whose leader went on: %v", l.failed, l.why)
	case min(quiet, then) < 1./4:
		t.Fatal("inconclusive: this machine is too noisy to judge, run again")
	case float64(during) > frozenP99*float64(before):
		t.Errorf("p99 is %v, over %.2f times %v", during, frozenP99, before)
	}
	c.catchesUp(t)
}

// pacedLoad keeps the times of writes to groups that are led by nodes that go on.
type pacedLoad struct {
	mu     sync.Mutex
	calls  []lateness // when, and how long it took
	failed int
	why    error
}

// start writes keys at frozenRate. Those of groups that the node led that stands still
// have workers of their own, which wait for its lease to end and hold up nobody.
func (l *pacedLoad) start(ctx context.Context, t *testing.T, wg *sync.WaitGroup, c *frozenCluster) {
	t.Helper()
	client, value := newClient(t, c.addrs), []byte(incompressible(frozenValue))
	keys := map[bool][]int{}
	for n, i := range c.hot {
		keys[c.led[n]] = append(keys[c.led[n]], i)
	}
	for led, ks := range keys {
		share := frozenRate * len(ks) / len(c.hot)
		for worker := range workers {
			every(ctx, wg, workers*time.Second/time.Duration(share), func(i int) {
				from := time.Now()
				one, cancel := context.WithTimeout(context.Background(), callLimit)
				err := client.Set(one, outageKey(ks[(i*workers+worker)%len(ks)]), value)
				cancel()
				if !led {
					return
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.calls = append(l.calls, lateness{from, time.Since(from)})
				if err != nil {
					l.failed, l.why = l.failed+1, errors.Join(l.why, err)
				}
			})
		}
	}
}

// p99 of the calls since it was last asked, but for those in windows in which the witness
// was late, and how much of the time is left.
func (l *pacedLoad) p99(w *witness) (p99 time.Duration, quiet float64) {
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	var took []time.Duration
	loud := map[time.Time]bool{}
	for _, c := range calls {
		at := c.at.Truncate(frozenWindow)
		late, known := loud[at]
		if !known {
			late = w.wasLate(at, at.Add(frozenWindow), lateMin)
			loud[at] = late
		}
		if !late {
			took = append(took, c.by)
		}
	}
	return quantile(took, .99), float64(len(took)) / float64(max(len(calls), 1))
}
