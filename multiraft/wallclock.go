package multiraft

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// wallFresh is how old the last word about a peer's wall clock may be, and
// wallClocks how many clocks must be known before one of them can be called wrong.
const (
	wallFresh  = 2 * time.Second
	wallClocks = 3
)

// ClockError is how far a node's wall clock, this node's or a peer's, is ahead of
// the middle one of all clocks heard lately; 0 when too few are known to tell. Lease
// rules never ask it: they rest on durations. It is for those who set deadlines.
func (c *Core) ClockError(n shardmap.NodeID, now Instant) time.Duration {
	var room [16]time.Duration
	ahead := append(room[:0], 0) // this node's own
	own, known := time.Duration(0), n == c.cfg.Self.Node
	for _, p := range c.peers {
		if p.heard == 0 || now.Wait-p.heard > wallFresh {
			continue
		}
		ahead = append(ahead, p.ahead)
		if p.node == n {
			own, known = p.ahead, true
		}
	}
	if len(ahead) < wallClocks || !known {
		return 0
	}
	slices.Sort(ahead)
	return own - ahead[len(ahead)/2]
}
