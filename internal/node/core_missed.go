package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// missedAfter is how long the holder of group 0 must not have heard a node before nothing
// new is brought there. It keeps what it has until it is replaced: this is no judgment of
// it, but what is moved meanwhile is to arrive.
const missedAfter = 5 * time.Second

// missedNow are the nodes that are missed here. One that operators let leave is among them:
// a copy that was on its way to it will not come, and holds up nobody else.
func (c *Core) missedNow(now multiraft.Instant) (ids []shardmap.NodeID) {
	for _, row := range c.meta.Nodes {
		if row.ID != c.self.Node && row.Intent != meta.Gone && c.missedFor(row.ID, now) >= missedAfter && !mutant.Is("missed-gets-copies") {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

// watchMissed has the placement planned anew when other nodes are missed than before,
// where group 0 is led.
func (c *Core) watchMissed(now multiraft.Instant) {
	if missed := c.missedNow(now); !slices.Equal(missed, c.missed) {
		c.missed, c.inPlace = missed, 0
	}
}

// waiting says why copies that are to leave a node have not left it, where that is not only
// a matter of time; nil where group 0 is not led, which is where it is known.
func (c *Core) waiting(now multiraft.Instant) (sentences []string) {
	if c.meta == nil || !c.leadsMeta(now) {
		return nil
	}
	for _, row := range c.meta.Nodes {
		if row.Intent != meta.Leaving || row.Absent {
			continue
		}
		held, lost := 0, 0
		for g := 1; g < len(c.meta.Groups); g++ {
			r, has := c.meta.Groups[g].On(row.ID)
			switch id := shardmap.GroupID(g); {
			case slices.Contains(c.heldUp, id) && (has && r.HoldsData() || slices.Contains(c.progress[g].Seats, row.ID)):
				held++
			case c.progress[g].holderless && slices.Contains(c.progress[g].Copies, row.ID):
				lost++
			}
		}
		if held > 0 && len(c.missed) > 0 {
			sentences = append(sentences, fmt.Sprintf("%s of %s stay for now: no other node that is heard may take them (missed: %s). Start those again, or a new node with --seeds", plural(held, "group"), row.Name, c.missedNames(now)))
		}
		if lost > 0 {
			sentences = append(sentences, fmt.Sprintf("%s of %s stay for now: nobody holds their lease", plural(lost, "group"), row.Name))
		}
	}
	return sentences
}

// missedNames are the nodes that are missed, each with how long.
func (c *Core) missedNames(now multiraft.Instant) string {
	names := make([]string, len(c.missed))
	for i, n := range c.missed {
		names[i] = fmt.Sprintf("%s for %v", c.nameOf(n), c.missedFor(n, now).Round(time.Second))
	}
	return strings.Join(names, ", ")
}
