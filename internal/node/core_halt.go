package node

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Operators may halt rebalancing. Copies then stay where they are for load's sake: moves
// that have begun and whose copies do not count yet are given up, the learners dropped, and
// no more begin until operators let it go on. The halt is part of group 0's state, so every
// holder of it goes by it, over restarts. What it does not hold back: copies that are
// missing (nodes that are dead, a cluster that is young) and those of nodes that operators
// have sent away. To bear the next death comes before load, and a word about one node is
// more than one about all of them.

// halting is a halt that waits to be applied.
type halting struct {
	meta.Halt
	answer   func(Answer)
	deadline time.Duration // Mono
}

// Halt asks for rebalancing to rest or to go on, wherever group 0 is led, and calls done
// once, when it is applied or refused. It may be repeated.
func (c *Core) Halt(on bool, now multiraft.Instant, done func(Answer)) {
	c.askMeta("halt", meta.Halt{On: on}, now, done)
}

// Rests reports whether operators have halted rebalancing, as far as this node knows. It
// may be asked beside everything else.
func (c *Core) Rests() bool { return c.rest.Load() }

// answerHalt decides about a halt, where group 0 is led.
func (c *Core) answerHalt(body []byte, now multiraft.Instant, done func(Answer)) {
	var h meta.Halt
	if err := json.Unmarshal(body, &h); err != nil {
		done(Answer{Err: "the question cannot be read: " + err.Error()})
		return
	}
	switch {
	case !c.leadsMeta(now) || c.meta == nil:
		done(Answer{Err: errNotMeta.Error()})
	case c.meta.Halted == h.On:
		done(answerOf(intentTaken{}))
	case len(c.halts) >= waitsMax:
		done(Answer{Err: "too many changes at once: try again"})
	default:
		h.From = c.meta.HaltVersion
		c.halts = append(c.halts, halting{h, done, now.Mono + registerWait})
		c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Halt: &h}.Encode())
		c.halted()
	}
}

// halted answers those whose halt has been applied, or another one before it, or who
// waited too long.
func (c *Core) halted() {
	c.halts = slices.DeleteFunc(c.halts, func(w halting) bool {
		switch {
		case c.meta.HaltVersion > w.From && c.meta.Halted == w.On:
			w.answer(answerOf(intentTaken{Changed: true}))
		case c.meta.HaltVersion > w.From:
			w.answer(Answer{Err: "somebody else has just decided about rebalancing: look at `aegis status`"})
		case c.now.Mono > w.deadline:
			w.answer(Answer{Err: "group 0 did not take the change in time: look at `aegis status` and try again"})
		default:
			return false
		}
		return true
	})
}

// atRest is where a group stands if what is on its way for load's sake is given up: copies
// that count already, those that are wanted first, and as many of those on their way as
// are missing then. A copy on a node that may have none, or is missed, is no copy to go
// back to: what is to replace it comes. Nor is one on a node that is wanted as a witness,
// whose replica may be the witness by now.
func atRest(want meta.Group, pr groupProgress, nodes []meta.Node, missed []shardmap.NodeID) (copies []shardmap.NodeID) {
	all, comes := copiesOf(want.Replicas), pr.onTheWay(want)
	if len(comes) == 0 {
		return all
	}
	copies = slices.DeleteFunc(slices.Clone(all), func(n shardmap.NodeID) bool { return slices.Contains(comes, n) })
	for _, n := range pr.Seats {
		_, wanted := want.On(n)
		stands := slices.ContainsFunc(nodes, func(o meta.Node) bool { return o.ID == n && o.Intent.Places() })
		if len(copies) < len(all) && !wanted && stands && !slices.Contains(missed, n) && slices.Contains(pr.Copies, n) {
			copies = append(copies, n)
		}
	}
	return append(copies, comes[:len(all)-len(copies)]...)
}

// turnsBack reports whether a change only gives up what is on its way, for copies that
// count already: nothing has to be filled for it, and no replica becomes another kind.
func turnsBack(p meta.Placement, has meta.Group, pr groupProgress) bool {
	comes := pr.onTheWay(has)
	for _, w := range p.Replicas {
		r, was := has.On(w.Node)
		if was && r.HoldsData() != (w.Role != meta.Witness) || !was && (w.Role == meta.Witness || !slices.Contains(pr.Seats, w.Node)) {
			return false
		}
	}
	return len(comes) > 0 && !slices.ContainsFunc(has.Replicas, func(r meta.Replica) bool {
		stays := slices.ContainsFunc(p.Replicas, func(w meta.Wanted) bool { return w.Node == r.Node })
		return !stays && !slices.Contains(comes, r.Node)
	})
}
