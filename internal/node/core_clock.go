package node

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// clockErrorMax is how far a node's wall clock may be off the others' before it
// leaves leases to them: deadlines of keys are set by the holder's clock. It keeps
// those that nobody else can hold, because a cluster whose clocks all disagree must
// serve as well; leases themselves rest on durations and are right in any case.
const clockErrorMax = 5 * time.Second

// astray reports whether a node's wall clock is wrong, as far as can be told here.
func (c *Core) astray(n shardmap.NodeID) bool {
	return c.raft.ClockError(n, c.now).Abs() > clockErrorMax
}

// clockNotices names the nodes whose clocks are wrong, for operators.
func (c *Core) clockNotices() (sentences []string) {
	if c.meta == nil {
		return nil
	}
	for _, row := range c.meta.Nodes {
		if off := c.raft.ClockError(row.ID, c.now); off.Abs() > clockErrorMax {
			sentences = append(sentences, fmt.Sprintf("the clock of %s is off by %v: it leaves leases to others until that is mended", row.Name, off.Round(time.Second)))
		}
	}
	return sentences
}
