package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	warmMemory  = 160 << 20 // of each node: some 20,000 values
	warmValue   = 4 << 10
	warmKeys    = 200_000
	warmSkew    = 1.01
	warmReaders = 24
	warmRate    = 6000 // reads a second: fewer tell less than two points apart
	warmMargin  = 2.0  // points
)

// readers ask for keys of a Zipf distribution and store those that are missing, as users
// of a cache do. They count by the group of the key.
type readers struct {
	hits, misses [groups]atomic.Int64
}

// run reads for a time at a rate, or so many keys as fast as it goes with rate 0.
func (r *readers) run(ctx context.Context, c *client.Client, seed int64, pace <-chan time.Time, left *atomic.Int64) {
	zipf := rand.NewZipf(rand.New(rand.NewSource(seed)), warmSkew, 1, warmKeys)
	value := make([]byte, warmValue)
	for left.Add(-1) >= 0 {
		if pace != nil {
			<-pace
		}
		key := fmt.Sprint("warm:", zipf.Uint64())
		g := shardmap.DefaultLayout.GroupOf(shardOf(key)) - 1
		switch _, err := c.Get(ctx, key); {
		case err == nil:
			r.hits[g].Add(1)
		case errors.Is(err, client.ErrNotFound):
			r.misses[g].Add(1)
			_ = c.Set(ctx, key, value) // one that fails is a miss again
		}
	}
}

// ratio is the share of hits among the answers for keys of some groups, in percent.
func (r *readers) ratio(of []int) (percent float64, answers int64) {
	hits := int64(0)
	for _, g := range of {
		hits += r.hits[g].Load()
		answers += r.hits[g].Load() + r.misses[g].Load()
	}
	return 100 * float64(hits) / float64(max(1, answers)), answers
}

// readSome reads n keys, at a rate if there is one.
func readSome(ctx context.Context, c *client.Client, seed int64, n, rate int) *readers {
	var r readers
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for i := range warmReaders {
		var pace <-chan time.Time
		if rate > 0 {
			tick := time.NewTicker(warmReaders * time.Second / time.Duration(rate))
			defer tick.Stop()
			pace = tick.C
		}
		wg.Add(1)
		go func() { defer wg.Done(); r.run(ctx, c, seed+int64(i), pace, &left) }()
	}
	wg.Wait()
	return &r
}

// TestAFailoverKeepsTheCacheWarm: under a load that is larger than memory, the hit ratio
// of the groups of a node that is killed -9 is that of before, within two points.
// Without the word of what hits earned it loses seven to eight.
// AEGIS_TEST_WARM says over what time before and after; the bar's own time is 10 s.
func TestAFailoverKeepsTheCacheWarm(t *testing.T) {
	d := duration(t, "AEGIS_TEST_WARM", 3*time.Second)
	nodes := launch(t, 3, fmt.Sprint(warmMemory))
	addrs := addresses(nodes)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addrs[0]) })
	c, ctx := newClient(t, addrs), context.Background()
	began := time.Now()
	readSome(ctx, c, 100, 150_000, 0)
	t.Logf("warm after %v", time.Since(began))
	victim, _ := busiest(nodes)
	other := addrs[slices.IndexFunc(nodes, func(n *restartable) bool { return n != victim })]
	by := holders(other)[victim.name]
	n := int(d.Seconds() * warmRate)
	before, asked := readSome(ctx, c, 200, n, warmRate).ratio(by)
	victim.kill()
	after, answered := readSome(ctx, c, 300, n, warmRate).ratio(by)
	t.Logf("%d groups of the victim: %.1f %% of %d reads hit before, %.1f %% of %d after", len(by), before, asked, after, answered)
	if len(by) == 0 || before > 95 || asked < int64(n/10) || answered < int64(n/10) {
		t.Fatal("that shows nothing")
	}
	if before-after > warmMargin {
		t.Errorf("%.1f points are lost, over %.1f", before-after, warmMargin)
	}
}
