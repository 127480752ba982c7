package node

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// standDownAgain is after how long leases are given up again that came back, or went
// nowhere, while the disk still stands.
const standDownAgain = time.Second

// standDown hands over every lease that another node can take, because the disk of this
// one's log does not answer: nothing is acknowledged under them. The others see that it
// claims none, and could take them by themselves. But they have to wait its promises out,
// and raft's heartbeats of a leader whose loop is well undo a campaign as often as not: on
// a busy machine groups stood for as long as the disk. Nothing is waited for here, as in a
// planned move: what the followers have not got yet is not logged either, and who waits for
// a reply hears that its write is of unknown outcome.
func (c *Core) standDown(now multiraft.Instant) {
	if c.stoodDown != 0 && now.Mono-c.stoodDown < standDownAgain || mutant.Is("M24") {
		return
	}
	for _, id := range c.raft.Groups() {
		st, _ := c.raft.Group(id)
		if id == shardmap.MetaGroup || st.Lease == nil {
			continue
		}
		if m := c.moves[id]; m != nil {
			if m.handed {
				continue
			}
			c.endMove(id, "the disk of this node's log does not answer")
		}
		if to := c.successor(id); to != 0 {
			c.raft.Handover(id, to, now)
		}
	}
	c.stoodDown = now.Mono
}
