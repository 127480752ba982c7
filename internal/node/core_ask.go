package node

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Answer is the end of a question.
type Answer struct {
	Body []byte // JSON
	Err  string
}

// asking is a question of this node that has not been answered.
type asking struct {
	to   shardmap.NodeID
	at   time.Duration // Mono
	done func(Answer)  // nil: goes to CoreOut.Answered
}

// registration is a registry row that waits to be applied.
type registration struct {
	node     meta.Node
	answer   func(Answer)
	deadline time.Duration // Mono
}

const (
	registerWait  = 3 * time.Second
	announceEvery = time.Second
	waitsMax      = 256
	// Above askedMax questions under way, those older than askedFor are forgotten.
	askedMax = 64
	askedFor = 30 * time.Second
)

// Grant is what a node that joins is told.
type Grant struct {
	Founding Founding  `json:"founding"` // settings, cluster and contacts, no founders
	Node     meta.Node `json:"node"`
}

// Ask sends a question to a node (or answers it here) and calls done once.
func (c *Core) Ask(to shardmap.NodeID, word string, body []byte, now multiraft.Instant, done func(Answer)) {
	c.now = now
	if to == c.self.Node {
		c.answerQuestion(word, body, now, done)
		return
	}
	c.nextID++
	c.forgetOld(now)
	c.asked[c.nextID] = asking{to, now.Mono, done}
	c.out.Control(to, appendQuestion(nil, question{ID: c.nextID, Word: word, Body: body}))
}

// forgetOld drops questions whose answer was lost, so that they cannot pile up.
func (c *Core) forgetOld(now multiraft.Instant) {
	if len(c.asked) < askedMax {
		return
	}
	for id, q := range c.asked { // order has no effect
		if now.Mono-q.at > askedFor {
			probeForgotten.Hit()
			delete(c.asked, id)
		}
	}
}

// Forget drops a question that nobody waits for any more.
func (c *Core) Forget(id uint64) { delete(c.asked, id) }

func (c *Core) heardQuestion(from shardmap.NodeID, q question, now multiraft.Instant) {
	c.answerQuestion(q.Word, q.Body, now, func(a Answer) {
		c.out.Control(from, appendAnswer(nil, answer{ID: q.ID, Err: a.Err, Body: a.Body}))
	})
}

func (c *Core) heardAnswer(from shardmap.NodeID, a answer) {
	q, ok := c.asked[a.ID]
	if !ok || q.to != from {
		return
	}
	delete(c.asked, a.ID)
	if q.done != nil {
		q.done(Answer{Body: a.Body, Err: a.Err})
		return
	}
	c.out.Answered(a.ID, Answer{Body: a.Body, Err: a.Err})
}

func (c *Core) answerQuestion(word string, body []byte, now multiraft.Instant, done func(Answer)) {
	switch word {
	case "register":
		var n meta.Node
		if err := json.Unmarshal(body, &n); err != nil {
			done(Answer{Err: "the row cannot be read: " + err.Error()})
			return
		}
		c.register(n, now, done)
	case "status":
		b, err := json.Marshal(c.NodeStatus(now))
		if err != nil {
			done(Answer{Err: err.Error()})
			return
		}
		done(Answer{Body: b})
	case "progress":
		done(c.heardProgress(body, now))
	case "intend":
		c.answerIntend(body, now, done)
	case "halt":
		c.answerHalt(body, now, done)
	case "member":
		done(c.answerMember(body, now))
	case "missing":
		done(c.answerMissing(body, now))
	case "transfer":
		c.answerTransfer(body, now, done)
	case "keep":
		done(c.answerKeep(body, now))
	case "failover":
		c.answerFailover(now, done)
	case "recover":
		c.answerRecover(body, now, done)
	case "recover-look":
		done(c.answerLook(body, now))
	case "recover-note":
		c.answerNote(body, now, done)
	case "recover-heard":
		c.answerHeard(body, now, done)
	case "recover-begin":
		done(c.answerBegin(body, now))
	default:
		done(Answer{Err: "unknown question " + word})
	}
}

// errNotMeta is what a node says that cannot decide about the registry.
var errNotMeta = errors.New("this node does not lead group 0")

// errNoMeta is what a node says that knows nobody who can.
var errNoMeta = errors.New("group 0 has no leader now: try again")

// MetaLeader is the node that leads group 0 as far as this node knows, 0 unknown.
func (c *Core) MetaLeader() shardmap.NodeID {
	if st, ok := c.raft.Group(shardmap.MetaGroup); ok {
		return st.Leader
	}
	return 0
}

// register puts a node into the registry; done hears of it when it is applied.
func (c *Core) register(n meta.Node, now multiraft.Instant, done func(Answer)) {
	if !c.leadsMeta(now) || c.meta == nil {
		done(Answer{Err: errNotMeta.Error()})
		return
	}
	if c.meta.WasRemoved(n.UUID) {
		done(Answer{Err: "this data directory was removed from the cluster for good: start the node with an empty one"})
		return
	}
	if len(c.waits) >= waitsMax {
		done(Answer{Err: "too many nodes register at once: try again"})
		return
	}
	c.waits = append(c.waits, registration{n, done, now.Mono + registerWait})
	c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Register: &meta.Register{Node: n}}.Encode())
	c.registered()
}

// registered answers those whose row has been applied, or who waited too long. A
// newcomer needs more: its replica of group 0 must have been placed.
func (c *Core) registered() {
	c.waits = slices.DeleteFunc(c.waits, func(w registration) bool {
		n, ok := c.meta.ByUUID(w.node.UUID)
		mine, placed := c.meta.Group(shardmap.MetaGroup).On(n.ID)
		switch {
		case ok && placed && !w.node.Supersedes(n):
			w.answer(c.grant(n, mine.ID))
		case c.now.Mono > w.deadline:
			w.answer(Answer{Err: "group 0 did not take the row in time: try again"})
		default:
			return false
		}
		return true
	})
}

func (c *Core) grant(n meta.Node, metaReplica uint64) Answer {
	g := Grant{
		Founding: Founding{Cluster: c.meta.Cluster, Settings: c.meta.Settings, MetaReplica: metaReplica, Contacts: c.meta.Nodes},
		Node:     n,
	}
	b, err := json.Marshal(g)
	if err != nil {
		return Answer{Err: err.Error()}
	}
	return Answer{Body: b}
}

// Readdress makes other addresses this node's own, and has them registered.
func (c *Core) Readdress(a meta.Addresses) {
	c.cfg.Addresses = a
	c.revision++
}

// announce keeps this node's own row true: addresses may change at a restart, and
// when the node learns that others reach it elsewhere.
func (c *Core) announce(now multiraft.Instant) {
	if len(c.waits) > 0 {
		c.registered()
	}
	if len(c.intents) > 0 {
		c.intended()
	}
	if len(c.halts) > 0 {
		c.halted()
	}
	n, ok := c.meta.Node(c.self.Node)
	mine := meta.Node{
		ID: n.ID, UUID: n.UUID, Name: c.cfg.Name, Addresses: c.cfg.Addresses, Zone: c.cfg.Zone, DataBytes: c.cfg.DataBytes,
		Generation: c.self.Inc.Counter, Revision: c.revision,
	}
	if !ok || !mine.Supersedes(n) || now.Mono-c.announced < announceEvery {
		return
	}
	to := c.MetaLeader()
	if to == 0 {
		return
	}
	c.announced = now.Mono
	b, err := json.Marshal(mine)
	if err != nil {
		return
	}
	c.Ask(to, "register", b, now, func(Answer) {})
}
