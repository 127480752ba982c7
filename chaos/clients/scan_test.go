package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// scans walks the keys of all nodes as go-redis users do, ForEachMaster and a SCAN on
// each, and holds what comes against KEYS and DBSIZE of all nodes.
func scans(ctx context.Context, t *testing.T, c *redis.ClusterClient) {
	const keys = 3000
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range keys {
			p.Set(ctx, fmt.Sprintf("scan:%d", i), i, 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen, listed, nodes := map[string]int{}, 0, 0
	err = c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		it := node.Scan(ctx, 0, "scan:*", 100).Iterator()
		mine := 0
		for it.Next(ctx) {
			mu.Lock()
			seen[it.Val()]++
			mu.Unlock()
			mine++
		}
		all, err := node.Keys(ctx, "scan:*").Result()
		mu.Lock()
		defer mu.Unlock()
		listed += len(all)
		if mine > 0 {
			nodes++
		}
		if n := node.DBSize(ctx).Val(); int(n) < len(all) || err != nil || it.Err() != nil {
			return fmt.Errorf("DBSIZE %d, KEYS %d (%v), SCAN %d (%v)", n, len(all), err, mine, it.Err())
		}
		return nil
	})
	if err != nil || nodes != 3 || listed != keys || len(seen) != keys {
		t.Errorf("%v: %d nodes have %d keys by KEYS and %d by SCAN, want 3 with %d", err, nodes, listed, len(seen), keys)
	}
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", k, n)
		}
	}
	if k := c.RandomKey(ctx).Val(); k == "" {
		t.Error("no random key")
	}
}
