package clients

import (
	"context"
	"fmt"
	"slices"
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

// cachedReader reads one key again and again and keeps the greatest age.
type cachedReader struct {
	of    *counted
	get   func(ctx context.Context, key string) (string, error)
	worst atomic.Int64 // ns
	reads atomic.Int64
}

func (r *cachedReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		at := time.Now()
		one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		v, err := r.get(one, r.of.key)
		cancel()
		if err != nil {
			wait(ctx, time.Millisecond)
			continue
		}
		n, _ := strconv.Atoi(v)
		r.reads.Add(1)
		r.worst.Store(max(r.worst.Load(), int64(r.of.age(n, at))))
		wait(ctx, time.Millisecond)
	}
}

// cached is one way to cache, with readers of its own.
type cached struct {
	name    string
	bound   time.Duration
	hits    func() int64
	get     func(ctx context.Context, key string) (string, error)
	readers []*cachedReader
}

// look says how old the answers were since the last look.
func (c *cached) look(t *testing.T, what string) {
	t.Helper()
	var worst time.Duration
	var reads int64
	for _, r := range c.readers {
		worst = max(worst, time.Duration(r.worst.Swap(0)))
		reads += r.reads.Swap(0)
	}
	t.Logf("%-22s %-19s %6d reads, oldest answer %v; so far %d from the cache", what, c.name, reads, worst.Round(100*time.Microsecond), c.hits())
	if worst > c.bound {
		t.Errorf("%s, %s: an answer was %v old, the bound is %v", what, c.name, worst, c.bound)
	}
	if reads == 0 {
		t.Errorf("%s, %s: nothing was read", what, c.name)
	}
}

// nearKeysOf is how many keys each way to cache has readers for.
const nearKeysOf = nearKeys / 2

// TestCachesUnderKillsPausesAndPartitions: while leaseholders leave, are killed, stopped, cut off
// and come back, what is answered from a cache is never older than the lease length and
// the configured bound: from our near cache, from rueidis's, and from one that is made on
// CLIENT TRACKING alone, whose bound is none at all. AEGIS_TEST_NEAR says how often.
func TestCachesUnderKillsPausesAndPartitions(t *testing.T) {
	nodes, relays := launchRelayed(t, "256MiB")
	addrs := addresses(nodes)
	cfg := client.DefaultConfig(addrs)
	cfg.Near = client.NearConfig{MaxBytes: 16 << 20, MaxStale: nearStale}
	const bound = leaseLength + nearStale
	near, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	pushed := newPushedCache(addrs)
	t.Cleanup(pushed.close)
	var hits atomic.Int64
	ways := []*cached{
		{name: "near cache", bound: bound, hits: func() int64 { return near.NearStats().Hits }, get: func(ctx context.Context, key string) (string, error) {
			v, err := near.Get(ctx, key)
			return string(v), err
		}},
		{name: "near cache, GetItem", bound: bound, hits: func() int64 { return near.NearStats().Hits }, get: func(ctx context.Context, key string) (string, error) {
			item, err := near.GetItem(ctx, key)
			return string(item.Value), err
		}},
		{name: "near cache, MGet", bound: bound, hits: func() int64 { return near.NearStats().Hits }, get: func(ctx context.Context, key string) (string, error) {
			items, err := near.MGet(ctx, key, "near:none")
			if err == nil && !items[0].Found {
				err = client.ErrNotFound
			}
			return string(items[0].Value), err
		}},
		{name: "rueidis DoCache", bound: bound, hits: hits.Load, get: doCache(t, addrs, &hits)},
		{name: "TRACKING, PING", bound: leaseLength, hits: pushed.hits.Load, get: pushed.get},
	}
	durable := client.DefaultConfig(addrs)
	durable.Durability = "majority" // a number that is lost would make the one before it look old
	writer, err := client.New(durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	for i := range nearKeysOf {
		k := &counted{key: fmt.Sprint("near:", i)}
		wg.Go(func() { k.write(ctx, writer) })
		for _, w := range ways {
			r := &cachedReader{of: k, get: w.get}
			w.readers = append(w.readers, r)
			wg.Go(func() { r.run(ctx) })
		}
	}
	look := func(what string) {
		t.Helper()
		for _, w := range ways {
			w.look(t, what)
		}
	}
	until(t, time.Minute, "the cache answers, and its keys are taken back", func() bool {
		s := near.NearStats()
		return s.Hits > 1000 && s.Invalidations > 100
	})
	look("at rest")
	left, leads := busiest(nodes)
	left.signal(syscall.SIGTERM)
	_ = left.cmd.Wait()
	look(fmt.Sprintf("while %d groups move", leads))
	left.start(t)
	until(t, time.Minute, "three healthy nodes", func() bool { return healthyAny(addrs) })
	look("after a planned move")
	if leads == 0 {
		t.Error("the node that left led nothing")
	}
	back := slices.Index(nodes, left) // it leads nothing for a while
	for i := range times(t, "AEGIS_TEST_NEAR", 1) {
		cut := (back + 1 + i) % 3
		stopped, apart, killed := nodes[(back+2+i)%3], nodes[cut], nodes[(back+i)%3]
		healed := func() {
			until(t, time.Minute, "three healthy nodes", func() bool { return healthy(addrs[0]) })
		}
		stopped.signal(syscall.SIGSTOP)
		until(t, time.Minute, "the node stands still", stopped.stopped)
		<-time.After(2 * bound) // what is not taken back would be too old by then
		look("while one is stopped")
		stopped.signal(syscall.SIGCONT)
		<-time.After(bound)
		look("after it went on")
		healed()
		led, kept := len(holders(stopped.addr)[apart.name]), relays.kept.Load()
		relays.isolate(cut)
		until(t, time.Minute, "the others serve what it led", func() bool { return len(holders(stopped.addr)[apart.name]) == 0 })
		<-time.After(bound + bound/2)
		look("while one is cut off")
		if led == 0 || relays.kept.Load() == kept {
			t.Errorf("the node that was cut off led %d groups, %d packets and streams were kept back", led, relays.kept.Load()-kept)
		}
		relays.isolate(-1)
		<-time.After(bound)
		look("after it was cut off")
		healed()
		killed.kill()
		<-time.After(2 * bound)
		look("after a kill")
		killed.start(t)
		healed()
		look("after a restart")
	}
	for _, w := range ways {
		if w.hits() < 1000 {
			t.Errorf("%s: only %d answers from the cache", w.name, w.hits())
		}
	}
	if s := near.NearStats(); s.Invalidations == 0 || s.Flushes == 0 || pushed.taken.Load() == 0 {
		t.Errorf("the caches did not do what the test is for: %+v, %d", s, pushed.taken.Load())
	}
}
