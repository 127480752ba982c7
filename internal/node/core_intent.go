package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// intending is an intent that waits to be applied.
type intending struct {
	meta.Intend
	answer   func(Answer)
	deadline time.Duration // Mono
}

// intentTaken is the answer about an intent that is as it should be.
type intentTaken struct {
	Changed bool `json:"changed"` // false: it was so before
}

// Intend asks for another intent of a node, wherever group 0 is led, and calls done
// once, when it is applied or refused. It may be repeated.
func (c *Core) Intend(n shardmap.NodeID, i meta.Intent, now multiraft.Instant, done func(Answer)) {
	c.askMeta("intend", meta.Intend{Node: n, Intent: i}, now, done)
}

// askMeta puts a question to who leads group 0, and calls done once.
func (c *Core) askMeta(what string, question any, now multiraft.Instant, done func(Answer)) {
	c.now = now
	b, err := json.Marshal(question)
	to := c.MetaLeader()
	switch {
	case err != nil:
		done(Answer{Err: err.Error()})
	case to == 0:
		done(Answer{Err: errNoMeta.Error()})
	default:
		c.Ask(to, what, b, now, done)
	}
}

// answerIntend decides about an intent, where group 0 is led.
func (c *Core) answerIntend(body []byte, now multiraft.Instant, done func(Answer)) {
	var i meta.Intend
	if err := json.Unmarshal(body, &i); err != nil {
		done(Answer{Err: "the question cannot be read: " + err.Error()})
		return
	}
	if !c.leadsMeta(now) || c.meta == nil {
		done(Answer{Err: errNotMeta.Error()})
		return
	}
	row, ok := c.meta.Node(i.Node)
	switch why := c.meta.Refuses(i.Node, i.Intent); {
	case why != "":
		done(Answer{Err: why})
	case ok && row.Intent == i.Intent && !row.Absent:
		done(answerOf(intentTaken{}))
	case len(c.intents) >= waitsMax:
		done(Answer{Err: "too many changes at once: try again"})
	default:
		i.From, i.Absent = row.IntentVersion, false
		c.intents = append(c.intents, intending{i, done, now.Mono + registerWait})
		c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Intend: &i}.Encode())
		c.intended()
	}
}

// intended answers those whose intent has been applied, or another one before it, or is
// refused by what was applied before it, or who waited too long.
func (c *Core) intended() {
	c.intents = slices.DeleteFunc(c.intents, func(w intending) bool {
		row, ok := c.meta.Node(w.Node)
		why := c.meta.Refuses(w.Node, w.Intent)
		switch {
		case ok && row.IntentVersion > w.From && row.Intent == w.Intent:
			w.answer(answerOf(intentTaken{Changed: true}))
		case !ok || row.IntentVersion > w.From:
			w.answer(Answer{Err: fmt.Sprintf("somebody else has just decided about node %d: look at its status", w.Node)})
		case why != "":
			w.answer(Answer{Err: why})
		case c.now.Mono > w.deadline:
			w.answer(Answer{Err: "group 0 did not take the change in time: look at the node's status and try again"})
		default:
			return false
		}
		return true
	})
}

// sentAway reports whether operators want the leases of a node elsewhere.
func (c *Core) sentAway(n shardmap.NodeID) bool {
	if c.meta == nil {
		return false
	}
	row, ok := c.meta.Node(n)
	return ok && row.Intent != meta.Active
}

// Dismissed reports whether this node is gone: nothing of the cluster is here any
// more, and it may never take part again.
func (c *Core) Dismissed() bool { return c.meta != nil && c.meta.WasRemoved(c.uuid) }

// depart says that this node has left, once operators want that and the last of its
// copies has been taken over: a replica is dropped only after its group's holder has
// said that it is no member (retire). Only the node itself can know. One that was only
// missed does not leave: it is taken back.
func (c *Core) depart(now multiraft.Instant) {
	row, ok := c.meta.Node(c.self.Node)
	if !ok || row.Intent != meta.Leaving || row.Absent || now.Mono-c.departed < announceEvery {
		return
	}
	if own, has := c.meta.Group(shardmap.MetaGroup).On(c.self.Node); has && own.Role != meta.Learner {
		return
	}
	if st, have := c.raft.Group(shardmap.MetaGroup); have && (st.Config.Joint() || votes(st.Config, c.self.Node)) {
		return // a vote that is wanted no more still counts
	}
	for g := 1; g < len(c.meta.Groups); g++ {
		if _, wanted := c.meta.Groups[g].On(c.self.Node); wanted {
			return
		}
		if _, have := c.raft.Group(shardmap.GroupID(g)); have {
			return
		}
	}
	c.departed = now.Mono
	c.Intend(c.self.Node, meta.Gone, now, func(Answer) {})
}

// forgetGone takes the rows of nodes out that are gone and no members of group 0 any
// more. The row stays until then: it is what still connects the node, which is to hear
// that it is gone.
func (c *Core) forgetGone() bool {
	st, ok := c.raft.Group(shardmap.MetaGroup)
	if !ok || st.Config.Joint() {
		return false
	}
	for _, n := range c.meta.Nodes {
		if _, member := st.Config.On(n.ID); n.Intent == meta.Gone && !member {
			return c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Forget: n.ID}.Encode())
		}
	}
	return false
}
