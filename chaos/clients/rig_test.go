package clients

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	rigMemory  = 256 << 20 // of each node
	probeEvery = 20 * time.Millisecond
	groups     = 64
)

// rig is three nodes under 2,000 operations a second and a probe per group, with
// a witness beside them.
type rig struct {
	nodes    []*restartable
	addrs    []string
	client   *client.Client
	probes   []*probe
	witness  *witness
	disk     *witness // nil but where leases move and the bar is near that of a write
	majority *majorityWrites
	async    *asyncWrites
	stop     func() // ends probes and load
}

func newRig(t *testing.T, memory int, more string) *rig {
	t.Helper()
	return newRigOf(t, launch(t, 3, fmt.Sprint(memory)+more))
}

func newRigOf(t *testing.T, nodes []*restartable) *rig {
	t.Helper()
	r := &rig{nodes: nodes, witness: startWitness(t)}
	r.addrs = addresses(r.nodes)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	r.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(r.stop)
	r.client = newClient(t, r.addrs)
	for _, k := range groupKeys() {
		p := &probe{key: k}
		p.reset()
		r.probes = append(r.probes, p)
		wg.Add(1)
		go func() { defer wg.Done(); p.run(ctx, r.client) }()
	}
	r.majority = majorityLoad(ctx, t, &wg, r.addrs)
	r.async = asyncLoad(ctx, &wg, r.addrs)
	readLoad(ctx, &wg, r.client)
	return r
}

func newClient(t *testing.T, addrs []string) *client.Client {
	t.Helper()
	c, err := client.New(client.DefaultConfig(addrs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// servedSince waits until every probe has succeeded after a time.
func (r *rig) servedSince(t *testing.T, at time.Time) {
	t.Helper()
	until(t, time.Minute, "every group is served", func() bool {
		return !slices.ContainsFunc(r.probes, func(p *probe) bool { return time.Unix(0, p.last.Load()).Before(at) })
	})
}

// ready waits until a node says that all is well, and starts the probes anew.
func (r *rig) ready(t *testing.T, addr string) {
	t.Helper()
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addr) })
	for _, p := range r.probes {
		p.reset()
	}
}

// groupsOf are the groups (from 0) that a node serves, as another one knows it.
func (r *rig) groupsOf(t *testing.T, victim *restartable, asked string) []int {
	t.Helper()
	by := holders(asked)[victim.name]
	if len(by) == 0 {
		t.Fatalf("%s leads nothing", victim.name)
	}
	return by
}

// busiest is the node that leads most groups, and the address of another one.
func (r *rig) busiest(t *testing.T) (victim *restartable, other string) {
	t.Helper()
	victim, _ = busiest(r.nodes)
	for _, addr := range r.addrs {
		if addr != victim.addr {
			other = addr
		}
	}
	return victim, other
}

// probe writes to one group 50 times a second and keeps its longest gap between
// successes since the last reset.
type probe struct {
	key  string
	last atomic.Int64 // unix ns of the last success
	gap  atomic.Int64 // ns
	slow atomic.Int64 // ns: the slowest success
	errs atomic.Int64
	why  atomic.Value // string: the last failure
}

func (p *probe) reset() {
	p.last.Store(time.Now().UnixNano())
	p.gap.Store(0)
	p.slow.Store(0)
	p.errs.Store(0)
}

func (p *probe) run(ctx context.Context, c *client.Client) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		start := time.Now()
		one, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		err := c.Set(one, p.key, []byte("probe"))
		cancel()
		if err != nil {
			p.errs.Add(1)
			p.why.Store(err.Error())
			continue
		}
		now := time.Now()
		p.slow.Store(max(p.slow.Load(), int64(now.Sub(start))))
		p.gap.Store(max(p.gap.Load(), now.UnixNano()-p.last.Load()))
		p.last.Store(now.UnixNano())
	}
}

// groupKeys finds a key for every group.
func groupKeys() []string {
	keys := make([]string, groups)
	for i, found := 0, 0; found < groups; i++ {
		k := fmt.Sprint("probe:", i)
		g := shardmap.DefaultLayout.GroupOf(shardOf(k))
		if keys[g-1] == "" {
			keys[g-1] = k
			found++
		}
	}
	return keys
}

func shardOf(key string) shardmap.ShardID {
	return shardmap.DefaultLayout.ShardOf(shardmap.SlotOfString(key))
}
