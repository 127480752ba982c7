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

// A node that is away for replace-after is replaced: whoever holds group 0 sends it away
// as an operator would (Leaving), so that its copies are made elsewhere, learner first,
// and when no configuration names it any more its data directory is gone for good.
//
// Dead is who was missed for that long by most voters of group 0, by promise traffic,
// while no node at all has heard it: gossip is not asked, and one node that hears it is
// enough to keep it. To replace what some can still reach would cost a copy that counts.
// It is asked for anew each time, so that a word from before a pause cannot kill.

const (
	// missingEvery spaces the questions about a node that is missed, and missingFresh is
	// how long an answer counts.
	missingEvery = time.Second
	missingFresh = 3 * time.Second
	// heardFor is for how long a node that is being replaced must be heard to stay.
	heardFor = 3 * time.Second
	// leaverMissed is how long a node that operators have sent away must be missed to leave
	// without its own word, whatever replace-after says: they want it gone, and it may be
	// broken, which is why.
	leaverMissed = time.Minute
)

// missingQuestion asks how long a node has been missed.
type missingQuestion struct {
	Node shardmap.NodeID `json:"node"`
}

// missingWord is the answer: how long, and which groups held here do without the node.
type missingWord struct {
	Silent  time.Duration      `json:"silentNs"`
	Without []shardmap.GroupID `json:"without"`

	at time.Duration // Mono at which it came
}

// death is what the holder of group 0 knows of a node that it misses.
type death struct {
	asked time.Duration // Mono
	after time.Duration // how long it must be missed
	words map[shardmap.NodeID]missingWord
	why   string // why it is not replaced, "" = it may be
	sent  bool   // it is to leave, and that may not be applied yet
}

// missedFor is how long this node has neither heard another one nor heard that it gets on
// with its log, which it may read for longer than anybody is missed: a copy made elsewhere
// meanwhile would be thrown away, or what it reads.
func (c *Core) missedFor(n shardmap.NodeID, now multiraft.Instant) time.Duration {
	missed := c.silentFor(n, now)
	if read := c.data.ReadUntil(n); read != 0 {
		missed = min(missed, now.Mono-read)
	}
	return missed
}

// silentFor is how long this node has not heard another one, no longer than it has known
// of it.
func (c *Core) silentFor(n shardmap.NodeID, now multiraft.Instant) time.Duration {
	b, known := c.comebacks[n]
	if !known {
		return 0
	}
	since := now.Mono - b.since
	if silent, heard := c.raft.Silence(n, now); heard {
		return min(silent, since)
	}
	return since
}

// mourn looks for nodes that are dead, and takes the next step of replacing one.
func (c *Core) mourn(now multiraft.Instant) {
	if c.leadsMeta(now) {
		c.takeBack(now)
	}
	if !c.leadsMeta(now) {
		c.deaths = nil
		return
	}
	for _, row := range c.meta.Nodes {
		after := c.goneAfter(row)
		if row.ID == c.self.Node || row.Intent == meta.Gone || after <= 0 || c.missedFor(row.ID, now) < after {
			delete(c.deaths, row.ID)
			continue
		}
		if c.deaths == nil {
			c.deaths = make(map[shardmap.NodeID]*death)
		}
		d := c.deaths[row.ID]
		if d == nil {
			d = &death{words: make(map[shardmap.NodeID]missingWord)}
			c.deaths[row.ID] = d
		}
		if d.after = after; now.Mono-d.asked >= missingEvery {
			if c.yieldTo(c.hearer(d, now), now) { // by the answers to the last question
				return
			}
			c.replace(row, d, now)
			d.asked = now.Mono
			c.askWhoMisses(row.ID, d, now)
		}
	}
}

// goneAfter is how long a node must be missed to be taken for dead, 0 = it never is.
func (c *Core) goneAfter(row meta.Node) time.Duration {
	switch after := c.cfg.ReplaceAfter; {
	case row.Intent != meta.Leaving || row.Absent:
		return after
	case after <= 0:
		return leaverMissed
	default:
		return min(after, leaverMissed)
	}
}

// takeBack lets nodes stay that are heard again while they are replaced: nobody wanted
// them to leave. That one is gone meanwhile makes the proposal void, by its version.
func (c *Core) takeBack(now multiraft.Instant) {
	if now.Mono-c.tookBack < missingEvery {
		return
	}
	c.tookBack = now.Mono
	for _, row := range c.meta.Nodes {
		if row.Absent && row.Intent == meta.Leaving && c.heardAgain(row.ID, now) {
			i := &meta.Intend{Node: row.ID, From: row.IntentVersion, Intent: meta.Active}
			c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Intend: i}.Encode())
		}
	}
}

// heardAgain reports whether a node is heard, and has been since it came back or since
// this node learned of it.
func (c *Core) heardAgain(n shardmap.NodeID, now multiraft.Instant) bool {
	b, known := c.comebacks[n]
	return n == c.self.Node || known && !b.away && now.Mono-b.at >= heardFor
}

// askWhoMisses puts the question to every node that can answer it.
func (c *Core) askWhoMisses(n shardmap.NodeID, d *death, now multiraft.Instant) {
	body := answerOf(missingQuestion{n}).Body
	for _, o := range c.meta.Nodes {
		if o.ID == n || o.Intent == meta.Gone || c.silentFor(o.ID, now) > awayAfter && o.ID != c.self.Node {
			continue
		}
		c.Ask(o.ID, "missing", body, now, func(a Answer) {
			w := missingWord{at: c.now.Mono}
			if a.Err == "" && json.Unmarshal(a.Body, &w) == nil {
				d.words[o.ID] = w
			}
		})
	}
}

func (c *Core) answerMissing(body []byte, now multiraft.Instant) Answer {
	var q missingQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return Answer{Err: "the question cannot be read: " + err.Error()}
	}
	if c.meta == nil {
		return Answer{Err: "this node has not been filled by group 0 yet"}
	}
	if _, known := c.meta.Node(q.Node); !known {
		return Answer{Err: "there is no such node here"}
	}
	w := missingWord{Silent: c.missedFor(q.Node, now), Without: []shardmap.GroupID{}}
	for _, id := range c.held(now) {
		if id != shardmap.MetaGroup && !c.names(id, q.Node) {
			w.Without = append(w.Without, id)
		}
	}
	return answerOf(w)
}

// names reports whether the configuration or the seats of a group name a node.
func (c *Core) names(id shardmap.GroupID, n shardmap.NodeID) bool {
	st, _ := c.raft.Group(id)
	_, member := st.Config.On(n)
	return member || st.Config.Joint() || slices.Contains(c.seats(id), n)
}

// dead reports whether the answers say that a node is.
func (c *Core) dead(d *death, now multiraft.Instant) bool {
	st, ok := c.raft.Group(shardmap.MetaGroup)
	if !ok || st.Config.Joint() {
		return false
	}
	for _, w := range d.words { // order has no effect
		if now.Mono-w.at < missingFresh && w.Silent < d.after && !mutant.Is("dead-unheard") {
			return false
		}
	}
	miss := 0
	for _, v := range st.Config.Voters {
		if w, said := d.words[v.Node]; said && now.Mono-w.at < missingFresh {
			miss++
		}
	}
	return 2*miss > len(st.Config.Voters)
}

// hearer is a voter of group 0 that hears a node which this one misses, 0 when there is
// none that could hold the group.
func (c *Core) hearer(d *death, now multiraft.Instant) shardmap.NodeID {
	st, ok := c.raft.Group(shardmap.MetaGroup)
	if !ok || st.Config.Joint() {
		return 0
	}
	for _, v := range st.Config.Voters {
		w, said := d.words[v.Node]
		hears := said && now.Mono-w.at < missingFresh && w.Silent < awayAfter
		if hears && v.Node != c.self.Node && !c.sentAway(v.Node) && c.refusesTransfer(shardmap.MetaGroup, v.Node, now) == "" {
			return v.Node
		}
	}
	return 0
}

// yieldTo hands group 0 to a node, 0 = nobody, that hears one which this one has missed for
// as long as it takes to be dead. What group 0 decides is told by its holder alone: a node that is cut off
// from it, and from nobody else, would go by an old placement for as long as that lasts.
func (c *Core) yieldTo(to shardmap.NodeID, now multiraft.Instant) bool {
	if to == 0 || c.raft.Changing(shardmap.MetaGroup, now) || !c.raft.Handover(shardmap.MetaGroup, to, now) {
		return false
	}
	probeYielded.Hit()
	c.deaths = nil
	return true
}

// replace takes the next step for a node that is missed, if it is dead.
func (c *Core) replace(row meta.Node, d *death, now multiraft.Instant) {
	if d.why, d.sent = "", false; !c.dead(d, now) {
		return
	}
	i := &meta.Intend{Node: row.ID, From: row.IntentVersion, Intent: meta.Leaving, Absent: row.Intent == meta.Active}
	if row.Intent == meta.Leaving {
		if !c.vacated(d, row.ID, now) {
			return
		}
		i.Intent = meta.Gone // Absent no more: nothing takes it back
	} else if d.why = c.keeps(row, now); d.why != "" {
		return
	}
	probeReplaced.Hit()
	d.sent = true
	c.raft.Propose(shardmap.MetaGroup, c.metaOpen, meta.Entry{Intend: i}.Encode())
}

// keeps says why a dead node is not replaced, "" when it may be: one at a time, and
// never when too few nodes that live would be left to hold the copies.
func (c *Core) keeps(row meta.Node, now multiraft.Instant) string {
	if why := c.meta.Refuses(row.ID, meta.Leaving); why != "" {
		return why
	}
	living := 0
	for _, o := range c.meta.Nodes {
		switch {
		case o.ID == row.ID:
		case c.deaths[o.ID] != nil && (o.Intent == meta.Leaving || c.deaths[o.ID].sent):
			return o.Name + " is being replaced first"
		case o.Intent.Places() && (o.ID == c.self.Node || c.silentFor(o.ID, now) < awayAfter):
			living++
		}
	}
	if need := max(c.meta.Settings.ReplicationFactor, groupVoters); living < need {
		return fmt.Sprintf("%d nodes are left that live and take copies, and %d are needed: start %s again, or a new node", living, need, row.Name)
	}
	return ""
}

// vacated reports whether every group does without a node that is leaving: those of
// data by the word of their holders, group 0 but for a replica that learns.
func (c *Core) vacated(d *death, n shardmap.NodeID, now multiraft.Instant) bool {
	if c.meta.Refuses(n, meta.Gone) != "" {
		return false
	}
	st, _ := c.raft.Group(shardmap.MetaGroup)
	if st.Config.Joint() || votes(st.Config, n) {
		return false
	}
	without := make(map[shardmap.GroupID]bool)
	for _, w := range d.words { // order has no effect
		if now.Mono-w.at < missingFresh {
			for _, id := range w.Without {
				without[id] = true
			}
		}
	}
	return len(without) == c.meta.Settings.Groups
}

// deathNotices says of nodes that are missed what is done about it.
func (c *Core) deathNotices(now multiraft.Instant) (sentences []string) {
	if c.meta == nil {
		return nil
	}
	for _, row := range c.meta.Nodes {
		d := c.deaths[row.ID]
		if d == nil {
			if row.Absent && row.Intent == meta.Leaving && c.leadsMeta(now) && !c.comebacks[row.ID].away {
				sentences = append(sentences, fmt.Sprintf("%s is heard again while it is being replaced: it stays", row.Name))
			}
			continue
		}
		missed := c.missedFor(row.ID, now).Round(time.Second)
		switch {
		case row.Intent == meta.Leaving && row.Absent:
			sentences = append(sentences, fmt.Sprintf("%s has not been heard for %v: its copies are being made elsewhere; it stays if it comes back before that is done, and afterwards its data directory may not come back", row.Name, missed))
		case row.Intent == meta.Leaving:
			sentences = append(sentences, fmt.Sprintf("%s has not been heard for %v: its copies are being made elsewhere, and then its data directory may not come back", row.Name, missed))
		case d.why != "":
			sentences = append(sentences, fmt.Sprintf("%s has not been heard for %v and is not replaced: %s", row.Name, missed, d.why))
		}
	}
	return sentences
}
