package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestAHolderThatIsReplacedHandsOverFirst is G6: a holder that the placement does not
// want any more moves its lease with all it has, and only then leaves the voters. One
// that removes itself ends its lease at an apply, whatever it has not streamed yet, and
// its copy is destroyed behind it.
func TestAHolderThatIsReplacedHandsOverFirst(t *testing.T) {
	ports := freePorts(t, 12)
	core, logs := observer.New(zapcore.InfoLevel)
	dir := t.TempDir()
	var nodes []*Node
	placed := func() {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			bad := unlikeWanted(nodes)
			if len(bad) == 0 {
				return
			}
			if time.Since(begun) > 2*time.Minute {
				t.Fatal("never as group 0 wants it: ", bad[0])
			}
		}
	}
	for i := range 4 {
		cfg := DefaultConfig()
		cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes, cfg.LeaseProfile = fmt.Sprintf("n%d", i+1), dir, 64<<20, "noisy"
		cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr = ports[3*i], ports[3*i+1], ports[3*i+2]
		cfg.Seeds = []string{ports[2], ports[5], ports[8]}
		n, err := New(cfg, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		if nodes = append(nodes, n); i == 2 {
			placed()
		}
	}
	placed()
	if n := logs.FilterMessage("lease ended").FilterField(zap.String("detail", "not a voter any more")).Len(); n > 0 {
		t.Errorf("%d holders left the voters with the lease in hand", n)
	}
}
