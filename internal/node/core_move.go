package node

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// A planned move parks new operations, waits until the target has everything and what
// was run before has been answered, then closes the lease, says so, and hands leadership
// over. Any step can abort.
const (
	moveFlush   = 50 * time.Millisecond  // how long operations may be parked for, and answers waited for
	moveRetry   = 20 * time.Millisecond  // between tries of a drain
	moveAgain   = 2 * time.Second        // between tries when this node stays
	drainAtOnce = 4                      // groups moving at once: each of more waits for the work of all
	moveDone    = 500 * time.Millisecond // after which a move is forgotten
)

// move is one lease on its way to another node.
type move struct {
	to     shardmap.NodeID
	since  time.Duration // Mono
	over   func() bool   // what was run before it has been answered; nil = nothing was
	handed bool
	done   func(why string) // once: "" when the other node serves; nil = nobody asked
}

// endMove forgets a move, and says how it ended.
func (c *Core) endMove(id shardmap.GroupID, why string) {
	m := c.moves[id]
	delete(c.moves, id)
	if m.done != nil {
		m.done(why)
	}
}

// moveLease begins a planned move; false when the group is not served here, or its members
// change just now.
func (c *Core) moveLease(id shardmap.GroupID, to shardmap.NodeID, now multiraft.Instant) bool {
	r := c.data.Replica(id)
	if r == nil || c.moves[id] != nil || c.raft.Changing(id, now) || !r.Park(now) {
		return false
	}
	m := &move{to: to, since: now.Mono}
	if c.cfg.UnderWay != nil {
		m.over = c.cfg.UnderWay() // after the park: what is let in later waits
	}
	c.moves[id] = m
	return true
}

// answered reports whether the lease may end for the clients' sake: one that does not take
// its replies, or wants acks that do not come, holds no move back for long.
func (m *move) answered(now multiraft.Instant) bool {
	return m.over == nil || m.over() || now.Mono-m.since > moveFlush
}

// moving reports whether leases are on their way to other nodes.
func (c *Core) moving() bool { return c.sheds() || len(c.moves) > 0 }

// tickMoves takes each move one step on.
func (c *Core) tickMoves(now multiraft.Instant) {
	if c.sheds() {
		c.drainMore(now)
	}
	for g := 1; g <= c.routes.Layout().Groups && len(c.moves) > 0; g++ {
		id := shardmap.GroupID(g)
		m := c.moves[id]
		if m == nil {
			continue
		}
		r := c.data.Replica(id)
		switch {
		case r == nil:
			c.endMove(id, "its replica here is gone")
		case m.handed && now.Mono-m.since > moveDone:
			c.endMove(id, "the other node did not take it in time")
		case m.handed:
			switch h := r.Holder(); h {
			case m.to:
				c.endMove(id, "")
			case 0, c.self.Node: // not yet
			default:
				c.endMove(id, c.nameOf(h)+" "+tookIt)
			}
		case r.Flushed(m.to):
			if !m.answered(now) {
				continue
			}
			m.handed, m.since = true, now.Mono
			if !c.raft.Handover(id, m.to, now) {
				probeUnparked.Hit()
				r.Unpark(now) // refused before the lease was closed: it serves on
			}
		case now.Mono-m.since > moveFlush:
			probeAborted.Hit()
			r.Unpark(now)
			c.endMove(id, "the other node did not have everything within "+moveFlush.String()+": it writes faster than that node follows")
			c.steady[id] = now.Mono
		}
	}
	if c.over != nil {
		c.tickFailover(now)
	}
}

// Drain begins to hand every lease over; Drained tells when it is done. New
// leases are not taken any more.
func (c *Core) Drain(now multiraft.Instant) {
	c.draining, c.tell = true, true
	if c.meta != nil {
		for g := range c.meta.Groups {
			c.settle(shardmap.GroupID(g))
		}
	}
}

// Drained reports whether this node holds no group any more that another could
// hold, and what it handed over is served.
func (c *Core) Drained() bool {
	if len(c.moves) > 0 {
		return false
	}
	for _, id := range c.raft.Groups() {
		if st, _ := c.raft.Group(id); st.Lease != nil && c.successor(id) != 0 {
			return false
		}
	}
	return true
}

// successor is the node that should take a group over, 0 when there is none.
func (c *Core) successor(id shardmap.GroupID) shardmap.NodeID {
	st, ok := c.raft.Group(id)
	if !ok {
		return 0
	}
	var able []shardmap.NodeID
	if r := c.data.Replica(id); id == shardmap.MetaGroup {
		able = nodesOf(st.Config.Voters)
	} else if r != nil {
		able = r.Successors()
	}
	last := shardmap.NodeID(0) // rather than nobody, when this process ends or its node leaves
	for _, n := range able {
		silent, heard := c.raft.Silence(n, c.now)
		if n == c.self.Node || c.announcedLeave(n) || !votes(st.Config, n) || !heard || silent >= time.Second {
			continue
		}
		if !c.astray(n) && !c.sentAway(n) {
			return n
		}
		if last == 0 && (c.draining || c.goesBefore(n) || c.standsIn(id, n)) {
			last = n
		}
	}
	return last
}

// goesBefore reports whether this node's copies leave while those of n stay: a node that
// drains takes the lease then, rather than that this one keeps it and never leaves.
func (c *Core) goesBefore(n shardmap.NodeID) bool {
	if c.meta == nil {
		return false
	}
	mine, _ := c.meta.Node(c.self.Node)
	other, _ := c.meta.Node(n)
	return mine.Intent == meta.Leaving && other.Intent == meta.Draining && !c.astray(n)
}

// standsIn reports whether this node is to give up what it holds of a group while n is to
// keep a copy: even where n drains, the lease is better there than with a witness, whose
// seat no other copy could have meanwhile.
func (c *Core) standsIn(id shardmap.GroupID, n shardmap.NodeID) bool {
	if c.meta == nil {
		return false
	}
	theirs, wanted := c.meta.Group(id).On(n)
	return wanted && theirs.HoldsData() && !c.stays(id) && !c.astray(n)
}

// drainMore starts the next moves of a drain.
func (c *Core) drainMore(now multiraft.Instant) {
	retry, hurries := moveRetry, true
	if !c.sheds() { // this process stays, and nobody waits for its end
		retry, hurries = moveAgain, false
	}
	for _, id := range c.raft.Groups() {
		if len(c.moves) >= drainAtOnce {
			return
		}
		st, _ := c.raft.Group(id)
		if st.Lease == nil || c.moves[id] != nil {
			continue
		}
		if since, tried := c.steady[id]; tried && now.Mono-since < retry {
			continue
		}
		to := c.successor(id)
		if to == 0 || !hurries && !c.mayLeave(id, now) {
			continue
		}
		if id == shardmap.MetaGroup {
			c.steady[id] = now.Mono
			c.raft.Handover(id, to, now)
			continue
		}
		if !c.moveLease(id, to, now) {
			continue
		}
		c.paced = now.Mono
		if c.over != nil {
			c.moves[id].done = func(why string) {
				if why == "" {
					c.askToKeep(to, id, steadyFor)
				}
			}
		}
	}
}

// Leave closes what could not be handed over and says that this incarnation is
// over, so that the others need not wait.
func (c *Core) Leave(now multiraft.Instant) {
	c.now = now
	c.raft.Stop(now)
}
