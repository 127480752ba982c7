package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// transactions runs go-redis's TxPipelined and Watch on keys of all three nodes: every
// addition under WATCH counts once, and no one sees half a transaction.
func transactions(ctx context.Context, t *testing.T, c *redis.ClusterClient) {
	const slots, clients, each = 12, 4, 10
	var wg sync.WaitGroup
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range slots * each {
				if err := addWatched(ctx, c, fmt.Sprintf("{tx%d}n", i%slots), fmt.Sprintf("{tx%d}copy", i%slots)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	for i := range slots {
		var n, twin *redis.StringCmd
		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			n, twin = p.Get(ctx, fmt.Sprintf("{tx%d}n", i)), p.Get(ctx, fmt.Sprintf("{tx%d}copy", i))
			return nil
		})
		if want := fmt.Sprint(clients * each); err != nil || n.Val() != want || twin.Val() != want {
			t.Errorf("slot %d: %q and %q (%v), want %s", i, n.Val(), twin.Val(), err, want)
		}
	}
	if _, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "{tx0}n", "abc", 0)
		p.Incr(ctx, "{tx0}n")
		p.Set(ctx, "{tx0}n", "after", 0)
		return nil
	}); err == nil || c.Get(ctx, "{tx0}n").Val() != "after" {
		t.Errorf("INCR of letters: %v, then %q; want its own error alone", err, c.Get(ctx, "{tx0}n").Val())
	}
}

// addWatched adds one to a counter and to its copy, as often as others come first.
func addWatched(ctx context.Context, c *redis.ClusterClient, key, twin string) error {
	for {
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, n+1, 0)
				p.Set(ctx, twin, n+1, 0)
				return nil
			})
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
}
