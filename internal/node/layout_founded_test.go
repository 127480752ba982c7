package node

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestALayoutThatCannotRunIsRefusedBeforeItIsFounded: the data plane takes 64 shards a
// group at most. A node that finds that out after it has made the founding record
// durable leaves a directory that no setting can start any more.
func TestALayoutThatCannotRunIsRefusedBeforeItIsFounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes = "n1", t.TempDir(), 64<<20
	ports := freePorts(t, 3)
	cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ports[0], ports[1], ports[2]
	run := func(shards int) error {
		cfg.NumShards, cfg.NumGroups = shards, 0
		n, err := New(cfg, zap.NewNop())
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return n.Run(ctx)
	}
	if err := run(8192); err == nil {
		return // it runs
	}
	if err := run(256); err != nil {
		t.Errorf("after a start with 8192 shards the node does not start with any: %v", err)
	}
}
