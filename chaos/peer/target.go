package peer

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/load"
)

// Nothing is the fault of a cluster that is only watched.
const Nothing Fault = "watched"

// Target is a cluster that somebody else runs: it is looked at and never touched.
type Target struct {
	name string
	seed string

	mu    sync.Mutex
	addrs []string
}

// NewTarget takes an address like redis://host:port.
func NewTarget(where string) (*Target, error) {
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address like redis://127.0.0.1:7000", where)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "6379")
	}
	if _, err := ask(addr, "PING"); err != nil {
		return nil, fmt.Errorf("%s does not answer: %w", addr, err)
	}
	return &Target{name: load.ServerName(addr), seed: addr, addrs: []string{addr}}, nil
}

// Cluster says what it is, as far as it can be seen from outside.
func (t *Target) Cluster() report.Cluster {
	t.mu.Lock()
	defer t.mu.Unlock()
	return report.Cluster{Server: t.name, Nodes: len(t.addrs), Ack: "async", WAL: "not known", Note: "at " + t.seed}
}

// Seeds are the addresses met so far.
func (t *Target) Seeds() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.addrs)
}

// Node numbers the addresses as they come.
func (t *Target) Node(addr string) (int, string) {
	if addr == "" {
		return -1, addr
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.addrs, addr)
	if i < 0 {
		i = len(t.addrs)
		t.addrs = append(t.addrs, addr)
	}
	return i, addr
}

// Inject does nothing.
func (t *Target) Inject(Fault, int) error { return nil }

// Mend does nothing.
func (t *Target) Mend(Fault, int) (string, bool, error) {
	return "nothing was injected: what happened is somebody else's", true, nil
}

// Healthy is all that can be seen.
func (t *Target) Healthy() bool { _, err := ask(t.seed, "PING"); return err == nil }
