package suite

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	probeEvery = 10 * time.Millisecond // writing and reading in turn
	probeMax   = 50 * time.Millisecond
)

// probes write to and read from each group, one goroutine for each, and keep when that
// went well.
type probes struct {
	groups []*probe // from 0: group 1
}

type probe struct {
	key string

	mu     sync.Mutex
	writes []time.Duration // when the successes were, since the run began
	reads  []time.Duration
	fails  []time.Duration
}

// startProbes begins to probe all groups of a layout.
func startProbes(ctx context.Context, wg *sync.WaitGroup, layout shardmap.Layout, addrs []string, now func() time.Duration) (*probes, error) {
	c, err := client.New(client.DefaultConfig(addrs))
	if err != nil {
		return nil, err
	}
	p := &probes{groups: make([]*probe, layout.Groups)}
	for i, found := 0, 0; found < layout.Groups; i++ {
		key := "probe:" + strconv.Itoa(i)
		g := int(layout.GroupOf(layout.ShardOf(shardmap.SlotOfString(key)))) - 1
		if p.groups[g] == nil {
			p.groups[g] = &probe{key: key}
			found++
		}
	}
	var own sync.WaitGroup
	for _, g := range p.groups {
		own.Go(func() { g.run(ctx, c, now) })
	}
	wg.Go(func() { own.Wait(); c.Close() })
	return p, nil
}

func (p *probe) run(ctx context.Context, c *client.Client, now func() time.Duration) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for write := true; ; write = !write {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, probeMax)
		var err error
		if write {
			err = c.Set(one, p.key, []byte("probe"))
		} else {
			_, err = c.Get(one, p.key)
		}
		cancel()
		at := now()
		p.mu.Lock()
		if err != nil {
			p.fails = append(p.fails, at)
		} else if write {
			p.writes = append(p.writes, at)
		} else {
			p.reads = append(p.reads, at)
		}
		p.mu.Unlock()
	}
}

// gap is the longest time without a success that touches a window, and when it began.
func gap(successes []time.Duration, from, to time.Duration) (longest, since time.Duration) {
	i, _ := slices.BinarySearch(successes, from)
	for i = max(i, 1); i < len(successes) && successes[i-1] < to; i++ {
		if d := successes[i] - successes[i-1]; d > longest {
			longest, since = d, successes[i-1]
		}
	}
	if n := len(successes); n == 0 || successes[n-1] < to {
		last := from
		if n > 0 {
			last = successes[n-1]
		}
		if to-last > longest {
			longest, since = to-last, last
		}
	}
	return longest, since
}

// gaps are those of one group in a window.
func (p *probe) gaps(from, to time.Duration) (read, write, since time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	read, at := gap(p.reads, from, to)
	write, since = gap(p.writes, from, to)
	return read, write, min(at, since)
}

// servedSince says whether every group was read and written after a time.
func (p *probes) servedSince(at time.Duration) bool {
	for _, g := range p.groups {
		g.mu.Lock()
		ok := len(g.reads) > 0 && len(g.writes) > 0 && g.reads[len(g.reads)-1] > at && g.writes[len(g.writes)-1] > at
		g.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// worst is for how long the group that waits longest has not been served.
func (p *probes) worst(now time.Duration) (longest time.Duration) {
	for _, g := range p.groups {
		g.mu.Lock()
		if n := len(g.writes); n > 0 {
			longest = max(longest, now-g.writes[n-1])
		}
		g.mu.Unlock()
	}
	return longest
}

// cell is what the probe met in a step: see report.Row. A failure while nobody held the
// lease says more than one that a holder answered, or did not answer.
func (p *probe) cell(from, to time.Duration, held tenures) byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := func(all []time.Duration) int {
		i, _ := slices.BinarySearch(all, from)
		j, _ := slices.BinarySearch(all, to)
		return j - i
	}
	i, _ := slices.BinarySearch(p.fails, from)
	failed := false
	for _, at := range p.fails[i:] {
		if at >= to {
			break
		}
		failed = true
		if _, ok := held.at(at); !ok {
			return report.CellNoHolder
		}
	}
	switch {
	case failed:
		return report.CellError
	case in(p.reads)+in(p.writes) == 0:
		return report.CellUnseen
	}
	return report.CellOK
}
