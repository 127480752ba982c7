package multiraft

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// firstEntry is the Ready by which this node became leader: the empty entry of its term
// and what goes to the others with it. It is held back until the data plane offers its
// Open, so that both are one write of each disk instead of two in a row: a planned move
// is votes and then an Open. To raft a Ready that is held back is a slow disk and a slow
// network.
type firstEntry struct {
	messages []*pb.Message
	sync     bool
	until    time.Duration // Wait
}

// firstMax is how long the first entry is held back. What answers a FENCE later than
// that, or a gate that has a hold to wait out, finds the entry written.
const firstMax = 5 * time.Millisecond

// keep holds a message back.
func (c *Core) keep(g *group, m *pb.Message, sync bool, now Instant) {
	if len(g.first.messages) == 0 {
		g.first.until = now.Wait + firstMax
		c.held = append(c.held, g)
	}
	g.first.messages = append(g.first.messages, m)
	g.first.sync = g.first.sync || sync
}

// unhold carries out what was held back, if anything was. What the log got since then
// goes along: raft itself sends a follower one append at a time until it has answered.
func (c *Core) unhold(g *group, since []*pb.Entry) {
	if len(g.first.messages) == 0 {
		return
	}
	f := g.first
	g.first = firstEntry{}
	c.held = slices.DeleteFunc(c.held, func(o *group) bool { return o == g })
	if g.destroyed {
		return
	}
	for _, m := range f.messages {
		if m.GetType() == pb.MsgApp && follow(m.GetEntries(), since) {
			m.Entries = slices.Concat(m.GetEntries(), since)
		}
		c.deliver(g, m, f.sync)
	}
}

// follow says whether entries come right after others in one log.
func follow(before, after []*pb.Entry) bool {
	return len(before) > 0 && len(after) > 0 && before[len(before)-1].GetIndex()+1 == after[0].GetIndex()
}

// tickHeld ends what was held back for long enough.
func (c *Core) tickHeld(now Instant) {
	for i := 0; i < len(c.held); {
		if g := c.held[i]; now.Wait >= g.first.until {
			c.unhold(g, nil) // leaves the list
		} else {
			i++
		}
	}
}
