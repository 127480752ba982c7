package node

import (
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// portHeld opens a node, which is never run, one of whose extra ports somebody else has.
func portHeld(t *testing.T, p extraPort, stated bool) (*Node, []observer.LoggedEntry, error) {
	t.Helper()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	addrs := freePorts(t, 3)
	cfg := DefaultConfig()
	cfg.ID, cfg.DataDir = "n1", t.TempDir()
	cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr, *p.addr(&cfg) = addrs[0], addrs[1], addrs[2], held.Addr().String()
	cfg.Stated["gatewayAddr"], cfg.Stated["adminAddr"] = true, true
	cfg.Stated[p.key] = stated
	seen, logs := observer.New(zap.WarnLevel)
	n, err := New(cfg, zap.New(seen))
	if err == nil {
		t.Cleanup(n.close)
	}
	return n, logs.All(), err
}

// TestATakenExtraPort is an error when somebody asked for it, and a warning when the
// default chose it.
func TestATakenExtraPort(t *testing.T) {
	for i, place := range []string{"the client port + 3 is taken", "the client port + 4 of 127.0.0.1 is taken"} {
		p := extraPorts()[i]
		if _, _, err := portHeld(t, p, true); err == nil || !strings.Contains(err.Error(), p.flag()) {
			t.Errorf("%s: a port that was asked for and is taken: %v", p.what, err)
		}
		none := "no " + p.what + " port"
		n, logs, err := portHeld(t, p, false)
		if err != nil || *p.listener(n) != nil || len(logs) != 1 || !strings.Contains(logs[0].Message, none) {
			t.Fatalf("%s: a default port that is taken: %v, %v", p.what, err, logs)
		}
		if banner := strings.Join(n.Banner(), "\n"); !strings.Contains(banner, none+": "+place) || !strings.Contains(banner, p.flag()) {
			t.Errorf("the banner does not say that there is none: %q", banner)
		}
		n.cfg.Stated[p.key] = true // off, as somebody wanted it
		if banner := strings.Join(n.Banner(), "\n"); strings.Contains(banner, p.what) {
			t.Errorf("the banner speaks of what nobody wants: %q", banner)
		}
	}
}

// TestExtraPortsFollowTheClientPort: a default never takes a port that something else
// of the node has, and the published nodes keep out of each other's way.
func TestExtraPortsFollowTheClientPort(t *testing.T) {
	for _, x := range []struct {
		gateway, admin string
		flags          []string
	}{
		{":7003", "127.0.0.1:7004", nil},
		{"10.0.0.1:7013", "127.0.0.1:7014", []string{"client-addr", "10.0.0.1:7010", "gossip-addr", ":7012"}},
		{"[::1]:7023", "127.0.0.1:7024", []string{"client-addr", "[::1]:7020", "gossip-addr", ":7022"}},
		{"off", "127.0.0.1:7004", []string{"gateway-addr", "off"}},
		{":7003", "off", []string{"admin-addr", "off"}},
		{"off", "127.0.0.1:7004", []string{"gossip-addr", ":7003"}},
		{":7003", "off", []string{"gossip-addr", ":7004"}},
		{":7003", "127.0.0.1:7004", []string{"gossip-addr", "10.0.0.1:7004"}},
		{":7004", "off", []string{"gateway-addr", ":7004"}},
		{"off", "10.0.0.1:7003", []string{"admin-addr", "10.0.0.1:7003"}},
		{"off", "off", []string{"client-addr", "127.0.0.1:65533"}},
		{"127.0.0.1:65535", "off", []string{"client-addr", "127.0.0.1:65532"}},
		{":6379", "127.0.0.1:7004", []string{"gateway-addr", ":6379"}},
		{":7003", ":9100", []string{"admin-addr", ":9100"}},
	} {
		c := load(t, flags(x.flags...))
		if gateway, admin := c.Text("gatewayAddr"), c.Text("adminAddr"); gateway != x.gateway || admin != x.admin {
			t.Errorf("%v: the gateway is %q, want %q; admin %q, want %q", x.flags, gateway, x.gateway, admin, x.admin)
		}
	}
}

func TestExtraPortsSayWhereTheyComeFrom(t *testing.T) {
	for _, x := range []struct {
		key, words string
		flags      []string
	}{
		{"gatewayAddr", "client port + 3 is not free; give --gateway-addr", []string{"gossip-addr", ":7003"}},
		{"gatewayAddr", "--gateway-addr", []string{"gateway-addr", "off"}},
		{"adminAddr", "client port + 4 of 127.0.0.1 is not free; give --admin-addr", []string{"gossip-addr", ":7004"}},
		{"adminAddr", "--admin-addr", []string{"admin-addr", "off"}},
		{"adminAddr", "default", nil},
	} {
		if got := load(t, flags(x.flags...)).Origin(x.key); !strings.Contains(got, x.words) {
			t.Errorf("%v: %s comes from %q, want to read %q", x.flags, x.key, got, x.words)
		}
	}
	refused(t, flags("gateway-addr", ":7002"), "--gateway-addr", "--gossip-addr", "same port")
	refused(t, flags("admin-addr", ":7000"), "--admin-addr", "--client-addr", "same port")
	refused(t, flags("admin-addr", ":6379", "gateway-addr", ":6379"), "--admin-addr", "--gateway-addr", "same port")
	refused(t, flags("gateway-addr", "on"), "on", "not an address")
	refused(t, flags("admin-addr", "7004"), "--admin-addr", "not an address")
	if c := load(t, Sources{Environ: []string{"AEGIS_ADMIN_ADDR=0.0.0.0:7004"}}); c.AdminAddr != "0.0.0.0:7004" {
		t.Errorf("AEGIS_ADMIN_ADDR gives %q", c.AdminAddr)
	}
	if c := load(t, file(`{"adminAddr": "off"}`)); c.AdminAddr != "" || !c.Stated["adminAddr"] {
		t.Errorf("adminAddr off gives %q", c.AdminAddr)
	}
}
