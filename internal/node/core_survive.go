package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// The survivor's part of a recovery: what it answers, what it swears, and how it goes on.

// answerLook says what this node has, and forsakes the dead if that is asked.
func (c *Core) answerLook(body []byte, now multiraft.Instant) Answer {
	var q recoverLook
	if err := json.Unmarshal(body, &q); err != nil {
		return declined("the question cannot be read: %v", err)
	}
	if c.meta == nil {
		return declined("group 0 has not filled it yet: stop it, and name it as well")
	}
	w := survivorWord{Generation: c.meta.Generation(), Meta: c.meta.Version}
	for _, row := range c.meta.Nodes {
		w.Nodes = append(w.Nodes, nodeKnown{row.ID, row.Name, row.UUID})
	}
	for _, n := range q.Gone {
		if n == c.self.Node {
			return declined("it is alive")
		}
		w.Silent = append(w.Silent, c.unheard(n, now))
	}
	if q.Oath != "" && len(w.Silent) > 0 && slices.Min(w.Silent) >= recoverSilence {
		c.forsake(q.Gone, now)
		c.sworn = oath{q.Oath, now.Mono + oathFor}
	}
	for _, id := range c.raft.Groups() {
		g := survivingGroup{Group: id, Replica: c.raft.Own(id)}
		var ok bool
		if g.Log, ok = c.raft.LogEnd(id); !ok {
			continue
		}
		st, _ := c.raft.Group(id)
		g.Conf, g.Voters, g.Outgoing = st.Config.Index, idsOf(st.Config.Voters), idsOf(st.Config.Outgoing)
		g.Served = st.Lease.Check(now.Mono, now.SuspendOffset)
		if r := c.data.Replica(id); r != nil {
			g.Copy = r.Survey()
		}
		w.Groups = append(w.Groups, g)
	}
	return answerOf(w)
}

func idsOf(ds []multiraft.ReplicaDesc) (ids []uint64) {
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

// unheard is how long a node has not been heard: for ever, if it was declared gone before.
func (c *Core) unheard(n shardmap.NodeID, now multiraft.Instant) time.Duration {
	if _, known := c.meta.Node(n); !known && c.meta.Forsook(n) {
		return recoverSilence
	}
	return c.missedFor(n, now)
}

// oath is what this node swore last. It holds for what follows from it, and not long: a word
// to begin that comes late, or after another oath, was overtaken by what others did.
type oath struct {
	word  string
	until time.Duration
}

func (c *Core) forsake(ns []shardmap.NodeID, now multiraft.Instant) {
	if c.forsaken == nil {
		c.forsaken = map[shardmap.NodeID]time.Duration{}
	}
	for _, n := range ns {
		c.forsaken[n] = now.Mono + forsakeFor
	}
}

// answerHeard answers when a decision was applied here.
func (c *Core) answerHeard(body []byte, now multiraft.Instant, done func(Answer)) {
	var word meta.Recovery
	switch err := json.Unmarshal(body, &word); {
	case err != nil:
		done(declined("the question cannot be read: %v", err))
	case c.meta == nil:
		done(declined("group 0 has not filled it yet: stop it, and name it as well"))
	default:
		c.noted = append(c.noted, noting{word, done, now.Mono + tellWait})
		c.notedAll()
	}
}

// answerBegin goes on with groups, after a last look: at what the plan was made from, and
// at the dead.
func (c *Core) answerBegin(body []byte, now multiraft.Instant) Answer {
	var q recoverBegin
	if err := json.Unmarshal(body, &q); err != nil {
		return declined("the question cannot be read: %v", err)
	}
	if c.meta == nil {
		return declined("group 0 has not filled it yet: stop it, and name it as well")
	}
	for _, n := range q.Gone {
		if !c.forsakes(n) || c.unheard(n, now) < recoverSilence {
			return declined("it has heard %s meanwhile", c.nameOf(n))
		}
	}
	if q.Oath != c.sworn.word || now.Mono >= c.sworn.until {
		return declined("it has sworn something else meanwhile, or this came late")
	}
	if this, _ := c.took(q.Word); !this && !q.metaOnly() && !mutant.Is("recover-untold") {
		return declined("it has not heard of the decision")
	}
	for _, e := range q.Empty {
		if _, filled := c.raft.LogEnd(e.Group); filled {
			return declined("group %d is here meanwhile", e.Group)
		}
	}
	for _, g := range q.Groups {
		if e, ok := c.raft.LogEnd(g.Group); !ok || e != g.Log || c.raft.Own(g.Group) != g.Replica {
			return declined("group %d has changed meanwhile", g.Group)
		}
		if st, _ := c.raft.Group(g.Group); st.Lease.Check(now.Mono, now.SuspendOffset) {
			return declined("group %d is held here, by a majority", g.Group)
		}
	}
	for _, g := range q.Groups {
		if err := c.regenerate(q, g, now); err != nil {
			return Answer{Err: err.Error()}
		}
	}
	for _, e := range q.Empty {
		if err := c.refound(q.Generation, e, now); err != nil {
			return Answer{Err: err.Error()}
		}
	}
	return answerOf(struct{}{})
}

func (c *Core) regenerate(q recoverBegin, g recoveredGroup, now multiraft.Instant) error {
	probeRegenerated.Hit()
	learners := make([]multiraft.ReplicaDesc, len(g.Learners))
	for i, id := range g.Learners {
		learners[i] = multiraft.ReplicaDesc{ID: id, Node: multiraft.NodeOf(id), Role: multiraft.RoleLearner}
	}
	return c.raft.Regenerate(g.Group, q.Generation, learners, func(tail [][]byte) ([]byte, error) {
		if g.Group == shardmap.MetaGroup {
			return c.regeneratedMeta(&q.Word, tail)
		}
		return c.data.Regenerated(g.Group, uint32(q.Generation), g.stay(), tail)
	}, now)
}

// regeneratedMeta is group 0's state with the decision in it.
func (c *Core) regeneratedMeta(word *meta.Recovery, tail [][]byte) ([]byte, error) {
	s, err := meta.Restore(c.meta.Snapshot())
	if err != nil {
		return nil, err
	}
	for _, b := range tail {
		if e, err := meta.DecodeEntry(b); err == nil {
			s.Apply(e)
		}
	}
	if !mutant.Is("recover-unnamed") {
		s.Apply(meta.Entry{Recover: word})
	}
	return s.Snapshot(), nil
}

// refound begins a group anew of which nothing is left. A replica that nobody ever filled
// makes room; any other one stays what it is.
func (c *Core) refound(generation uint64, e meta.Refounded, now multiraft.Instant) error {
	state, err := c.data.Refounded(uint32(generation))
	if err != nil {
		return err
	}
	id := multiraft.MakeReplica(e.Replica, c.self.Node, multiraft.RoleVoter).ID
	if _, filled := c.raft.LogEnd(e.Group); filled {
		return fmt.Errorf("group %d is here meanwhile", e.Group)
	}
	if c.raft.Own(e.Group) != 0 {
		c.drop(e.Group, now)
	}
	c.data.Join(e.Group, id, multiraft.RoleVoter)
	if err := c.raft.Refound(e.Group, id, generation, state, now); err != nil {
		c.data.Drop(e.Group)
		return err
	}
	c.dirty = true
	return nil
}

// noting is a decision that waits to be applied, where group 0 is led.
type noting struct {
	word     meta.Recovery
	answer   func(Answer)
	deadline time.Duration
}

// took reports whether group 0 took this very decision, as far as this node knows, and
// whether it took another one in its place.
func (c *Core) took(word meta.Recovery) (this, other bool) {
	if mutant.Is("recover-unnamed") {
		return true, false
	}
	for _, r := range c.meta.Recoveries {
		if r.Generation == word.Generation {
			this = slices.Equal(answerOf(r).Body, answerOf(word).Body)
			return this, !this
		}
	}
	return false, c.meta.Generation() > word.Generation
}

// answerNote has group 0 take a decision, where it has its majority.
func (c *Core) answerNote(body []byte, now multiraft.Instant, done func(Answer)) {
	var word meta.Recovery
	switch err := json.Unmarshal(body, &word); {
	case err != nil:
		done(declined("the question cannot be read: %v", err))
	case !c.leadsMeta(now) || c.meta == nil:
		done(Answer{Err: errNotMeta.Error()})
	case word.Generation <= c.meta.Generation():
		done(declined("somebody else has just decided something: look at `aegis status`"))
	default:
		c.noted = append(c.noted, noting{word, done, now.Mono + recoverWait})
		c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Recover: &word}.Encode())
	}
}

// notedAll answers those whose decision was applied, or who waited too long. What an
// answer leads to may note something itself, here and now.
func (c *Core) notedAll() {
	waiting := c.noted
	c.noted = nil
	for _, w := range waiting {
		switch this, other := c.took(w.word); {
		case this:
			w.answer(answerOf(struct{}{}))
		case other:
			w.answer(declined("somebody else has just decided something: look at `aegis status`"))
		case c.now.Mono > w.deadline:
			w.answer(declined("group 0's decision did not come in time"))
		default:
			c.noted = append(c.noted, w)
		}
	}
}
