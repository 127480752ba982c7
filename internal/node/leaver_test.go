package node

import (
	"context"
	"fmt"
	"net"
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
	ports, held := make([]string, 12), make([]net.Listener, 12)
	for i := range ports {
		var err error
		if held[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		ports[i] = held[i].Addr().String()
	}
	for _, l := range held {
		l.Close()
	}
	core, logs := observer.New(zapcore.InfoLevel)
	dir := t.TempDir()
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
		if i == 2 {
			r := dialRaw(t, ports[0])
			r.pipeline(1, "", "WAIT", "2", "1")
			r.until(t, ":2\r\n")
			time.Sleep(5 * time.Second)
		}
	}
	time.Sleep(15 * time.Second)
	if n := logs.FilterMessage("lease ended").FilterField(zap.String("detail", "not a voter any more")).Len(); n > 0 {
		t.Errorf("%d holders left the voters with the lease in hand", n)
	}
}
