package clients

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/client"
)

const (
	nearStale = 600 * time.Millisecond // the configured part of the bound
	nearKeys  = 32
)

// counted is a key whose writer counts up, and when each number was acknowledged.
type counted struct {
	key   string
	mu    sync.Mutex
	acked []time.Time // by number
}

// write stores the next number, until ctx ends. A number whose fate is unknown is
// stored again: whoever reads it in between has read the newest.
func (k *counted) write(ctx context.Context, c *client.Client) {
	for n := 0; ctx.Err() == nil; {
		one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		err := c.Set(one, k.key, []byte(strconv.Itoa(n)))
		cancel()
		if err != nil {
			continue
		}
		k.mu.Lock()
		k.acked = append(k.acked, time.Now())
		k.mu.Unlock()
		n++
		wait(ctx, 20*time.Millisecond)
	}
}

// age is how long before a moment a number was replaced, negative when it was not.
func (k *counted) age(n int, at time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n+1 >= len(k.acked) {
		return -1
	}
	return at.Sub(k.acked[n+1])
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// nearReader reads one key again and again and keeps the greatest age.
type nearReader struct {
	of    *counted
	worst atomic.Int64 // ns
	reads atomic.Int64
}

func (r *nearReader) run(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		at := time.Now()
		one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		v, err := c.Get(one, r.of.key)
		cancel()
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(string(v))
		r.reads.Add(1)
		r.worst.Store(max(r.worst.Load(), int64(r.of.age(n, at))))
		wait(ctx, time.Millisecond)
	}
}

// TestNearCacheUnderKillsAndPauses: while leaseholders are killed, stopped and go on, what a
// near cache answers is never older than the lease length and the configured bound.
// AEGIS_TEST_NEAR says how often.
func TestNearCacheUnderKillsAndPauses(t *testing.T) {
	nodes := launch(t, 3, "256MiB")
	addrs := addresses(nodes)
	cfg := client.DefaultConfig(addrs)
	cfg.Near = client.NearConfig{MaxBytes: 16 << 20, MaxStale: nearStale}
	near, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	writer := newClient(t, addrs)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	var readers []*nearReader
	for i := range nearKeys {
		k := &counted{key: fmt.Sprint("near:", i)}
		r := &nearReader{of: k}
		readers = append(readers, r)
		wg.Go(func() { k.write(ctx, writer) })
		wg.Go(func() { r.run(ctx, near) })
	}
	bound := leaseLength + nearStale
	look := func(what string) {
		t.Helper()
		var worst time.Duration
		var reads int64
		for _, r := range readers {
			worst = max(worst, time.Duration(r.worst.Swap(0)))
			reads += r.reads.Swap(0)
		}
		s := near.NearStats()
		t.Logf("%s: %d reads, oldest answer %v; so far %d hits, %d misses, %d invalidations, %d flushes", what, reads, worst.Round(100*time.Microsecond), s.Hits, s.Misses, s.Invalidations, s.Flushes)
		if worst > bound {
			t.Errorf("%s: an answer was %v old, the bound is %v", what, worst, bound)
		}
		if reads == 0 {
			t.Errorf("%s: nothing was read", what)
		}
	}
	until(t, time.Minute, "the cache answers, and its keys are taken back", func() bool {
		s := near.NearStats()
		return s.Hits > 1000 && s.Invalidations > 100
	})
	look("at rest")
	for i := range times(t, "AEGIS_TEST_NEAR", 1) {
		victim := nodes[i%3]
		others := nodes[(i+1)%3].addr
		victim.signal(syscall.SIGSTOP)
		until(t, time.Minute, "the node stands still", victim.stopped)
		<-time.After(2 * bound) // what is not taken back would be too old by then
		look("while a node is stopped")
		victim.signal(syscall.SIGCONT)
		<-time.After(bound)
		look("after it went on")
		until(t, time.Minute, "three healthy nodes", func() bool { return healthy(others) })
		victim.kill()
		<-time.After(2 * bound)
		look("after a kill")
		victim.start(t)
		until(t, time.Minute, "three healthy nodes", func() bool { return healthy(others) })
		look("after a restart")
	}
	if s := near.NearStats(); s.Hits < s.Misses || s.Invalidations == 0 || s.Flushes == 0 {
		t.Errorf("the near cache did not do what the test is for: %+v", s)
	}
}
