package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/baxromumarov/aegisKV/internal/fault"
)

// tick is how a node's clocks of durations go from a moment on.
type tick struct {
	at    time.Duration // on the right clock
	ahead time.Duration // then
	ppm   int64         // too fast
}

// orders is the socket on which the node takes orders. Paths of sockets are short.
func (n *Node) orders() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("aegis-%d-%d.sock", os.Getpid(), n.port))
}

// Order tells the node what is to be wrong with its clocks and its disk from now on.
func (n *Node) Order(o fault.Order) (s fault.State, err error) {
	c, err := net.DialTimeout("unix", n.orders(), askMax)
	if err != nil {
		return s, fmt.Errorf("%s takes no orders: %w", n.Name, err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askMax))
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return s, err
	}
	if err := json.NewDecoder(c).Decode(&s); err != nil {
		return s, err
	}
	n.mu.Lock()
	n.clock = append(n.clock, tick{Now(), s.Skew, o.PPM})
	n.mu.Unlock()
	return s, nil
}

// right is what the right clock showed when the node's own showed so much.
func (n *Node) right(own time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.clock) - 1; i >= 0; i-- {
		t := n.clock[i]
		if since := own - t.at - t.ahead; since >= 0 {
			return t.at + time.Duration(float64(since)/(1+float64(t.ppm)/1e6))
		}
	}
	return own
}

// right is right of the node at a place.
func (c *Cluster) right(node int, own time.Duration) time.Duration { return c.Nodes[node].right(own) }
