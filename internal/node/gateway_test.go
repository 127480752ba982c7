package node

import (
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// gatewayOn opens a node, which is never run, whose gateway port somebody else has.
func gatewayOn(t *testing.T, stated bool) (*Node, []observer.LoggedEntry, error) {
	t.Helper()
	var addrs []string
	var held []net.Listener
	for range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held, addrs = append(held, l), append(addrs, l.Addr().String())
	}
	for _, l := range held[:3] {
		l.Close()
	}
	t.Cleanup(func() { held[3].Close() })
	cfg := DefaultConfig()
	cfg.ID, cfg.DataDir = "n1", t.TempDir()
	cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr, cfg.GatewayAddr = addrs[0], addrs[1], addrs[2], addrs[3]
	cfg.Stated["gatewayAddr"] = stated
	seen, logs := observer.New(zap.WarnLevel)
	n, err := New(cfg, zap.New(seen))
	if err == nil {
		t.Cleanup(n.close)
	}
	return n, logs.All(), err
}

// TestATakenGatewayPort is an error when somebody asked for it, and a warning when the
// default chose it.
func TestATakenGatewayPort(t *testing.T) {
	if _, _, err := gatewayOn(t, true); err == nil || !strings.Contains(err.Error(), "--gateway-addr") {
		t.Errorf("a port that was asked for and is taken: %v", err)
	}
	n, logs, err := gatewayOn(t, false)
	if err != nil || n.gateway != nil || len(logs) != 1 || !strings.Contains(logs[0].Message, "no gateway port") {
		t.Errorf("a default port that is taken: %v, %v", err, logs)
	}
	if banner := strings.Join(n.Banner(), "\n"); !strings.Contains(banner, "no gateway port: the client port + 3 is taken") || !strings.Contains(banner, "--gateway-addr") {
		t.Errorf("the banner does not say that there is none: %q", banner)
	}
	n.cfg.Stated["gatewayAddr"] = true // off, as somebody wanted it
	if banner := strings.Join(n.Banner(), "\n"); strings.Contains(banner, "gateway") {
		t.Errorf("the banner speaks of what nobody wants: %q", banner)
	}
}
