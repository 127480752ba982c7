package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// gatewayWords takes the gateways of all nodes for one server that go-redis scans,
// watches and waits on.
func gatewayWords(ctx context.Context, t *testing.T, nodes []string) {
	t.Run("SCAN", func(t *testing.T) {
		const keys = 2000
		fillStays(ctx, t, plain(t, gatewayOf(nodes[0]), 3), keys)
		for i, addr := range nodes {
			c := plain(t, gatewayOf(addr), 2+i%2)
			for _, count := range []int64{0, 100, 100000} {
				if n, err := scanStays(ctx, c, count); err != nil || n != keys {
					t.Errorf("node %d, COUNT %d: %d of %d keys, %v", i+1, count, n, keys, err)
				}
			}
			if n := len(c.Keys(ctx, "stay:*").Val()); n != keys {
				t.Errorf("KEYS finds %d of %d", n, keys)
			}
		}
	})
	t.Run("tokens", func(t *testing.T) { gatewayTokens(ctx, t, nodes) })
	t.Run("WATCH", func(t *testing.T) { gatewayCounters(ctx, t, nodes) })
	t.Run("WAIT", func(t *testing.T) {
		c := plain(t, gatewayOf(nodes[1]), 3).Conn()
		defer func() { _ = c.Close() }()
		for round := range 20 {
			for i := range 10 {
				if err := c.Set(ctx, fmt.Sprint("wait:", i), round, 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := c.Do(ctx, "WAIT", 2, 5000).Int(); err != nil || n != 2 {
				t.Fatalf("%d followers hold what was written, %v", n, err)
			}
		}
	})
}

// gatewayTokens takes a token of writes on all nodes from one gateway and has it judged by
// another, until everything is durable.
func gatewayTokens(ctx context.Context, t *testing.T, nodes []string) {
	t.Helper()
	c := plain(t, gatewayOf(nodes[0]), 3).Conn()
	defer func() { _ = c.Close() }()
	for i := range 30 {
		if err := c.Set(ctx, fmt.Sprint("token:", i), "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	token, err := c.Do(ctx, "AEGIS.TOKEN").Text()
	if err != nil {
		t.Fatal(err)
	}
	judge := plain(t, gatewayOf(nodes[1]), 2)
	until(t, time.Minute, "everything is durable", func() bool {
		rows, err := judge.Do(ctx, "AEGIS.CHECK", token).Slice()
		if err != nil || len(rows) < 20 {
			t.Fatalf("%s: %v %v", token, rows, err)
		}
		durable := 0
		for _, row := range rows {
			if one, ok := row.([]any); ok && len(one) == 3 && one[2] == "durable" {
				durable++
			}
		}
		return durable == len(rows)
	})
}

// gatewayCounters adds to counters in transactions, through all gateways at once: none
// is lost and none is done twice.
func gatewayCounters(ctx context.Context, t *testing.T, nodes []string) {
	t.Helper()
	const workers, each, counters = 6, 30, 3
	var wg sync.WaitGroup
	var conflicts atomic.Int64
	for w := range workers {
		c := plain(t, gatewayOf(nodes[w%len(nodes)]), 2+w%2)
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprint("counter:", i%counters)
				add := func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, key).Int()
					if err != nil && !errors.Is(err, redis.Nil) {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.Set(ctx, key, n+1, 0)
						return nil
					})
					return err
				}
				err := c.Watch(ctx, add, key)
				for ; errors.Is(err, redis.TxFailedErr); err = c.Watch(ctx, add, key) {
					conflicts.Add(1)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	c := plain(t, gatewayOf(nodes[0]), 3)
	for i := range counters {
		if n, err := c.Get(ctx, fmt.Sprint("counter:", i)).Int(); err != nil || n != workers*each/counters {
			t.Errorf("counter %d is %d, %v; %d were added", i, n, err, workers*each/counters)
		}
	}
	if conflicts.Load() == 0 {
		t.Error("no transaction met another: nothing was tried")
	}
}

// fillStays sets keys that stay, at a majority.
func fillStays(ctx context.Context, t *testing.T, c *redis.Client, keys int) {
	t.Helper()
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "AEGIS.DURABILITY", "majority")
		for i := range keys {
			p.Set(ctx, fmt.Sprint("stay:", i), i, 0)
		}
		p.Do(ctx, "AEGIS.DURABILITY", "default")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// scanStays counts the different keys that one scan finds.
func scanStays(ctx context.Context, c *redis.Client, count int64) (int, error) {
	seen := map[string]bool{}
	it := c.Scan(ctx, 0, "stay:*", count).Iterator()
	for it.Next(ctx) {
		seen[it.Val()] = true
	}
	return len(seen), it.Err()
}

// countStays counts the keys that KEYS finds, all keys by DBSIZE, and looks for one at
// random.
func countStays(ctx context.Context, c *redis.Client) (listed, all int, err error) {
	keys, err := c.Keys(ctx, "stay:*").Result()
	if err != nil {
		return 0, 0, err
	}
	size, err := c.DBSize(ctx).Result()
	if err != nil {
		return 0, 0, err
	}
	return len(keys), int(size), c.RandomKey(ctx).Err()
}

// scanning scans through a gateway again and again.
type scanning struct {
	whole, failed atomic.Int64
	cancel        func()
	done          chan struct{}
}

// startScanning fails the test when a scan or a count ends well and has not found every
// key, those of the load among them.
func startScanning(ctx context.Context, t *testing.T, addr string, keys int) *scanning {
	t.Helper()
	c := plain(t, addr, 3)
	fillStays(ctx, t, c, keys)
	ctx, cancel := context.WithCancel(ctx)
	s := &scanning{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for ctx.Err() == nil {
			switch n, err := scanStays(ctx, c, 50); {
			case err != nil:
				s.failed.Add(1)
				<-time.After(5 * time.Millisecond)
			case n != keys:
				t.Errorf("a scan without an error found %d of %d keys", n, keys)
			default:
				s.whole.Add(1)
			}
			switch listed, all, err := countStays(ctx, c); {
			case err != nil:
				s.failed.Add(1)
			case listed != keys || all != keys+gatewayWorkers:
				t.Errorf("KEYS found %d of %d keys, DBSIZE %d of %d", listed, keys, all, keys+gatewayWorkers)
			}
		}
	}()
	t.Cleanup(s.stop)
	return s
}

// again waits for a scan that begins and ends well from here on.
func (s *scanning) again(t *testing.T) {
	t.Helper()
	before := s.whole.Load()
	until(t, time.Minute, "two more scans", func() bool { return s.whole.Load() >= before+2 })
}

func (s *scanning) stop() {
	s.cancel()
	<-s.done
}
