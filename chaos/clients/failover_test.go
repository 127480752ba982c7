package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// The bars of failover with the default lease profile (L = 600 ms).
const (
	leaseLength = 600 * time.Millisecond
	gapP50      = leaseLength + 200*time.Millisecond
	gapP99      = leaseLength + 600*time.Millisecond
	gapMax      = leaseLength + 1500*time.Millisecond
	otherGap    = 100 * time.Millisecond
	probeEvery  = 20 * time.Millisecond
	groups      = 64
)

// restartable is one aegis process that can be killed and started again.
type restartable struct {
	bin, dir string
	args     []string
	cmd      *exec.Cmd
	addr     string
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(r.dir, r.args[1]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command(r.bin, r.args...)
	r.cmd.Dir, r.cmd.Stderr = r.dir, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (r *restartable) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// witness sleeps 1 ms in a loop and remembers when it was woken late: what this
// machine did to everybody.
type witness struct {
	mu   sync.Mutex
	late []lateness
}

type lateness struct {
	at time.Time
	by time.Duration
}

func (w *witness) run(ctx context.Context) {
	for ctx.Err() == nil {
		before := time.Now()
		time.Sleep(time.Millisecond)
		if by := time.Since(before) - time.Millisecond; by > otherGap/5 {
			w.mu.Lock()
			w.late = append(w.late, lateness{before, by})
			w.mu.Unlock()
		}
	}
}

// disturbed says whether the witness was late by more than a fifth of a bar in a window.
func (w *witness) disturbed(from, to time.Time, bar time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.late, func(l lateness) bool {
		return l.at.Before(to) && l.at.Add(l.by).After(from) && l.by > bar/5
	})
}

// probe writes to one group 50 times a second and keeps its longest gap between
// successes since the last reset.
type probe struct {
	key  string
	last atomic.Int64 // unix ns of the last success
	gap  atomic.Int64 // ns
}

func (p *probe) reset() { p.last.Store(time.Now().UnixNano()); p.gap.Store(0) }

func (p *probe) run(ctx context.Context, c *client.Client) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		err := c.Set(one, p.key, []byte("probe"))
		cancel()
		if err == nil {
			now := time.Now().UnixNano()
			p.gap.Store(max(p.gap.Load(), now-p.last.Load()))
			p.last.Store(now)
		}
	}
}

// groupKeys finds a key for every group.
func groupKeys() []string {
	keys := make([]string, groups)
	for i, found := 0, 0; found < groups; i++ {
		k := fmt.Sprint("probe:", i)
		g := shardmap.DefaultLayout.GroupOf(shardmap.DefaultLayout.ShardOf(shardmap.SlotOfString(k)))
		if keys[g-1] == "" {
			keys[g-1] = k
			found++
		}
	}
	return keys
}

// holders asks a node which node each group is served by.
func holders(addr string) map[string][]int {
	var report struct {
		Nodes []struct {
			Name   string
			Groups []struct {
				Group int
				Open  bool
			}
		}
	}
	if json.Unmarshal([]byte(ask(addr, "aegis.admin", "status")), &report) != nil {
		return nil
	}
	by := map[string][]int{}
	for _, n := range report.Nodes {
		for _, g := range n.Groups {
			if g.Open {
				by[n.Name] = append(by[n.Name], g.Group-1)
			}
		}
	}
	return by
}

// TestKillsOfALeaseholder kills a node -9 again and again under load: every group
// must be served again within the lease time, groups led elsewhere must not
// notice, and no majority write may be lost. AEGIS_KILLS says how often (30 is
// the bar's own number; CI does fewer).
func TestKillsOfALeaseholder(t *testing.T) {
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("AEGIS_KILLS")); err == nil {
		kills = n
	}
	nodes := startRestartable(t)
	addrs := []string{nodes[0].addr, nodes[1].addr, nodes[2].addr}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	w := &witness{}
	wg.Add(1)
	go func() { defer wg.Done(); w.run(ctx) }()

	c, err := client.New(client.DefaultConfig(addrs))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	probes := make([]*probe, groups)
	for i, k := range groupKeys() {
		probes[i] = &probe{key: k}
		probes[i].reset()
		wg.Add(1)
		go func() { defer wg.Done(); probes[i].run(ctx, c) }()
	}
	acked := majorityLoad(ctx, t, &wg, addrs)

	var led, others []time.Duration
	disturbed, windows := 0, 0
	for k := range kills {
		victim := nodes[k%3]
		ask0 := nodes[(k+1)%3].addr
		until(t, 30*time.Second, "three healthy nodes", func() bool { return healthy(ask0) })
		by := holders(ask0)
		for _, p := range probes {
			p.reset()
		}
		from := time.Now()
		victim.kill()
		until(t, 5*time.Second, "every group is served again", func() bool {
			for _, p := range probes {
				if time.Unix(0, p.last.Load()).Before(from.Add(leaseLength + 300*time.Millisecond)) {
					return false
				}
			}
			return true
		})
		to := time.Now()
		name := victim.args[1]
		for i, p := range probes {
			gap := time.Duration(p.gap.Load())
			windows++
			bar := otherGap
			if slices.Contains(by[name], i) {
				bar = gapP99
			}
			switch {
			case w.disturbed(from, to, bar):
				disturbed++
			case bar == gapP99:
				led = append(led, gap)
			default:
				others = append(others, gap)
			}
		}
		victim.start(t)
	}
	until(t, 30*time.Second, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	cancel()
	wg.Wait()
	acked.verify(t, c)
	judge(t, kills, led, others, disturbed, windows)
}

func judge(t *testing.T, kills int, led, others []time.Duration, disturbed, windows int) {
	t.Helper()
	p := func(ds []time.Duration, q float64) time.Duration {
		if len(ds) == 0 {
			return 0
		}
		slices.Sort(ds)
		return ds[min(len(ds)-1, int(q*float64(len(ds))))]
	}
	t.Logf("%d kills: groups of the dead node unavailable p50 %v p99 %v max %v (%d windows); other groups' longest gap p99 %v max %v; %d of %d windows disturbed",
		kills, p(led, .5), p(led, .99), p(led, 1), len(led), p(others, .99), p(others, 1), disturbed, windows)
	if len(led) == 0 {
		t.Error("no undisturbed window of a killed leaseholder: run again")
	}
	if p(led, .5) > gapP50 || p(led, .99) > gapP99 || p(led, 1) > gapMax {
		t.Errorf("over the bars: p50 %v, p99 %v, max %v", gapP50, gapP99, gapMax)
	}
	if p(others, 1) > otherGap && disturbed*20 <= windows {
		t.Errorf("a group led elsewhere had a gap of %v, over %v", p(others, 1), otherGap)
	}
}

func healthy(addr string) bool {
	var r struct{ Healthy bool }
	return json.Unmarshal([]byte(ask(addr, "aegis.admin", "status")), &r) == nil && r.Healthy
}

func startRestartable(t *testing.T) []*restartable {
	t.Helper()
	bin, dir := buildAegis(t), t.TempDir()
	base := freeBlock(t, 30)
	var nodes []*restartable
	for i := range 3 {
		port := base + 10*i
		r := &restartable{bin: bin, dir: dir, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), args: []string{
			"--id", fmt.Sprint("node", i+1), "--client-addr", fmt.Sprint(":", port), "--gossip-addr", fmt.Sprint(":", port+2), "--max-memory-bytes", "256MiB",
		}}
		if i > 0 {
			r.args = append(r.args, "--seeds", fmt.Sprint("localhost:", base+2))
		}
		r.start(t)
		nodes = append(nodes, r)
	}
	t.Cleanup(func() {
		for _, r := range nodes {
			_ = r.cmd.Process.Signal(syscall.SIGKILL)
			_ = r.cmd.Wait()
		}
	})
	awaitMap(t, []string{nodes[0].addr, nodes[1].addr, nodes[2].addr})
	return nodes
}

// ackedWrites are the newest majority writes that were acknowledged, by key.
type ackedWrites struct {
	mu  sync.Mutex
	max map[string]int
	n   int
}

// majorityLoad writes rising numbers at the majority level, 200 a second.
func majorityLoad(ctx context.Context, t *testing.T, wg *sync.WaitGroup, addrs []string) *ackedWrites {
	t.Helper()
	cfg := client.DefaultConfig(addrs)
	cfg.Durability = "majority"
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a := &ackedWrites{max: map[string]int{}}
	for worker := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 1; ; i++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				key := fmt.Sprintf("majority:%d:%d", worker, i%100)
				if c.Set(ctx, key, []byte(strconv.Itoa(i))) == nil {
					a.mu.Lock()
					a.max[key], a.n = i, a.n+1
					a.mu.Unlock()
				}
			}
		}()
	}
	return a
}

// verify reads every key again: what was acknowledged, or something newer, must
// be there.
func (a *ackedWrites) verify(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	lost := 0
	for key, want := range a.max {
		v, err := c.Get(ctx, key)
		got, _ := strconv.Atoi(string(v))
		if err != nil || got < want {
			lost++
			t.Errorf("%s: %d was acknowledged by a majority, %q is there (%v)", key, want, v, err)
		}
	}
	t.Logf("%d majority writes acknowledged, %d keys lost", a.n, lost)
	if a.n < 100 {
		t.Errorf("only %d majority writes were acknowledged", a.n)
	}
}
