package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// An operator moves leases by hand with two questions: "transfer" asks the holder of a
// group for one planned move, "failover" a node for all of its leases. Both are answered
// when the moves have ended, and change nothing of what is wanted: a lease goes back to
// the node that the placement prefers, but not before the new holder was told to keep it
// for a while. To write the wish into group 0 was the other way: then somebody would
// have to take it out again.

// transferQuestion asks the holder of a group to hand it to a node.
type transferQuestion struct {
	Group shardmap.GroupID `json:"group"`
	To    shardmap.NodeID  `json:"to"`
}

// TransferReport says where the lease of a group was and where it is.
type TransferReport struct {
	Group shardmap.GroupID `json:"group"`
	From  string           `json:"from"`
	To    string           `json:"to"` // the same where it was there already
}

// FailoverReport says what became of the leases that a node was to hand over.
type FailoverReport struct {
	Node  string             `json:"node"`
	Moved int                `json:"moved"` // leases
	Kept  []shardmap.GroupID `json:"kept"`  // groups that no other node could take in time
}

// keepQuestion tells the new holder of a group how long a lease that was moved by hand
// stays. That it is lost does no harm: the lease goes back early.
type keepQuestion struct {
	Group shardmap.GroupID `json:"group"`
	For   time.Duration    `json:"forNs"`
}

// keepFor is how long a lease stays where "transfer" moved it, keepMax the longest that
// a node believes.
const (
	keepFor = 10 * time.Minute
	keepMax = time.Hour
)

// failoverMax bounds how long a node tries to hand its leases over at a word; well
// below what operators' commands wait.
const failoverMax = 4 * time.Second

// failover is a node that hands its leases over now and stays.
type failover struct {
	until time.Duration // Mono
	held  []shardmap.GroupID
	done  func(Answer)
}

// answerTransfer moves one lease and answers when it is there.
func (c *Core) answerTransfer(body []byte, now multiraft.Instant, done func(Answer)) {
	var q transferQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		done(Answer{Err: "the question cannot be read: " + err.Error()})
		return
	}
	report := TransferReport{q.Group, c.nameOf(c.self.Node), c.nameOf(q.To)}
	why := c.refusesTransfer(q.Group, q.To, now)
	switch {
	case why != "":
		done(Answer{Err: why})
	case q.To == c.self.Node:
		done(answerOf(report))
	case q.Group == shardmap.MetaGroup && c.raft.Handover(q.Group, q.To, now):
		done(answerOf(report)) // nobody waits for it, so nothing is parked
	case !c.moveLease(q.Group, q.To, now):
		done(Answer{Err: fmt.Sprintf("group %d is on its way to another node already, or opens or changes its members just now: try again", q.Group)})
	default:
		c.moves[q.Group].done = func(why string) {
			if why != "" {
				done(Answer{Err: fmt.Sprintf("group %d stays at %s: %s", q.Group, report.From, why)})
				return
			}
			c.askToKeep(q.To, q.Group, keepFor)
			done(answerOf(report))
		}
	}
}

// askToKeep tells the new holder of a group that its lease was moved by hand.
func (c *Core) askToKeep(holder shardmap.NodeID, id shardmap.GroupID, d time.Duration) {
	if b := answerOf(keepQuestion{id, d}).Body; b != nil {
		c.Ask(holder, "keep", b, c.now, func(Answer) {})
	}
}

func (c *Core) answerKeep(body []byte, now multiraft.Instant) Answer {
	var q keepQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return Answer{Err: "the question cannot be read: " + err.Error()}
	}
	if q.Group < 1 || int(q.Group) > c.routes.Layout().Groups {
		return Answer{Err: fmt.Sprintf("there is no group %d", q.Group)}
	}
	c.kept[q.Group] = now.Mono + min(q.For, keepMax)
	return Answer{}
}

// refusesTransfer says why a lease cannot be handed to a node, "" when it can.
func (c *Core) refusesTransfer(id shardmap.GroupID, to shardmap.NodeID, now multiraft.Instant) string {
	st, have := c.raft.Group(id)
	name := c.nameOf(to)
	switch {
	case c.meta == nil || int(id) >= len(c.meta.Groups):
		return fmt.Sprintf("there is no group %d: groups are 0 to %d", id, c.routes.Layout().Groups)
	case !have || !st.Open || !st.Lease.Check(now.Mono, now.SuspendOffset):
		return fmt.Sprintf("%s does not hold group %d: %s", c.nameOf(c.self.Node), id, notHolder)
	case to == c.self.Node:
		return ""
	case !votes(st.Config, to):
		return fmt.Sprintf("%s has no vote in group %d; those that have one: %s", name, id, c.namesOf(nodesOf(st.Config.Voters)))
	case c.leaving(to):
		return fmt.Sprintf("%s is handing its leases over and takes none", name)
	case c.astray(to):
		return fmt.Sprintf("the clock of %s is wrong: it takes no leases until that is mended", name)
	}
	if silent, heard := c.raft.Silence(to, now); !heard || silent > time.Second {
		return fmt.Sprintf("%s has not been heard lately: leases do not move to a node that may be down", name)
	}
	if r := c.data.Replica(id); id != shardmap.MetaGroup && (r == nil || !r.Succeeds(to)) {
		return fmt.Sprintf("%s %s of group %d", name, noCopy, id)
	}
	return ""
}

// Marks of refusals after which it is worth asking again: another node holds the lease,
// the holder has just taken over and has not heard of the copies, or the lease went
// elsewhere on its way.
const (
	tookIt    = "took it"
	notHolder = "its lease may just have moved"
	noCopy    = "has no whole copy"
)

// answerFailover hands over all that is held here, once.
func (c *Core) answerFailover(now multiraft.Instant, done func(Answer)) {
	switch {
	case c.meta == nil:
		done(Answer{Err: "this node has not been filled by group 0 yet: try again"})
	case c.draining:
		done(Answer{Err: "this node is leaving: it hands its leases over already"})
	case c.over != nil:
		done(Answer{Err: "this node hands its leases over already"})
	default:
		c.over = &failover{until: now.Mono + failoverMax, held: c.held(now), done: done}
		for _, id := range c.over.held {
			delete(c.steady, id)
		}
	}
}

// tickFailover ends a failover when nothing can be handed over any more.
func (c *Core) tickFailover(now multiraft.Instant) {
	o := c.over
	if !c.Drained() && now.Mono < o.until {
		return
	}
	kept := c.held(now)
	kept = slices.DeleteFunc(kept, func(id shardmap.GroupID) bool { return !slices.Contains(o.held, id) })
	c.over = nil
	o.done(answerOf(FailoverReport{Node: c.nameOf(c.self.Node), Moved: len(o.held) - len(kept), Kept: kept}))
}

// held are the groups whose lease is open here.
func (c *Core) held(now multiraft.Instant) []shardmap.GroupID {
	ids := []shardmap.GroupID{}
	for _, id := range c.raft.Groups() {
		if st, _ := c.raft.Group(id); st.Open && st.Lease.Check(now.Mono, now.SuspendOffset) {
			ids = append(ids, id)
		}
	}
	return ids
}

// sheds reports whether this node hands over all that it can.
func (c *Core) sheds() bool { return c.draining || c.over != nil }

func (c *Core) nameOf(n shardmap.NodeID) string {
	if c.meta != nil {
		if row, ok := c.meta.Node(n); ok {
			return row.Name
		}
		for _, r := range c.meta.Recoveries {
			for _, f := range r.Nodes {
				if f.ID == n {
					return f.Name
				}
			}
		}
	}
	return fmt.Sprintf("node %d", n)
}

func (c *Core) namesOf(nodes []shardmap.NodeID) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = c.nameOf(n)
	}
	return strings.Join(names, ", ")
}

func answerOf(v any) Answer {
	b, err := json.Marshal(v)
	if err != nil {
		return Answer{Err: err.Error()}
	}
	return Answer{Body: b}
}
