package node

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

const (
	// awayAfter is how long a node must be silent to have been away.
	awayAfter = time.Second
	// comebackOnce is within which a node that is heard again and its new row in the
	// registry are one comeback.
	comebackOnce = 10 * time.Second
	// flapMax bounds how long a node that comes and goes must stay before leases go back
	// to it; who has stayed for twice as long has come back for the first time again.
	flapMax = 10 * time.Minute
)

// comeback is what this node remembers of another's comings and goings. It is its own
// experience, and dies with it: a wrong one costs balance, never safety.
type comeback struct {
	since      time.Duration // Mono at which this node learned of it
	away       bool
	generation uint64
	times      int           // in a row
	at         time.Duration // Mono of the last
}

// watchComebacks takes note of nodes that are heard again, and of those that have
// started anew in less time than anybody misses them.
func (c *Core) watchComebacks(now multiraft.Instant) {
	for _, row := range c.meta.Nodes {
		if row.ID == c.self.Node {
			continue
		}
		silent, heard := c.raft.Silence(row.ID, now)
		away := !heard || silent > awayAfter
		b, known := c.comebacks[row.ID]
		if !known {
			c.comebacks[row.ID] = comeback{since: now.Mono, away: away, generation: row.Generation, at: now.Mono}
			continue
		}
		back := b.away && !away || row.Generation > b.generation
		b.away, b.generation = away, row.Generation
		if back {
			b.cameBack(now.Mono)
		}
		c.comebacks[row.ID] = b
	}
}

func (b *comeback) cameBack(now time.Duration) {
	switch since := now - b.at; {
	case b.times > 0 && since < comebackOnce:
		return // one more sign of the same, or too soon to have been of use
	case since > 2*flapMax:
		b.times = 1
	default:
		b.times++
	}
	b.at = now
}

// backOff is how long after its last comeback a node must have stayed: 30 s doubled
// with every one, up to ten minutes.
func (b comeback) backOff() time.Duration {
	d := steadyFor
	for i := 1; i < b.times && d < flapMax; i++ {
		d *= 2
	}
	return min(d, flapMax)
}

// flaps reports whether a node has come and gone, and not stayed for long enough since
// to be trusted with leases that can be elsewhere.
func (c *Core) flaps(n shardmap.NodeID) bool {
	b := c.comebacks[n]
	return b.times > 1 && c.now.Mono-b.at < b.backOff()
}
