package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Operators may say that nodes are gone for good where that is a majority (multiraft/DESIGN.md,
// "A lost majority"). The node that they ask asks all others: first how long they have
// not heard the dead, and what they have; if they are to go on, then once more, and from
// that answer on they do not listen to the dead. From that follows which groups lost their
// majority, and which survivor goes on with each. Then group 0 takes the decision, every
// survivor says that it has applied it, and only then groups of data go on. Each looks once
// more for itself before it begins.

const (
	// recoverSilence is how long nobody may have heard a node that is declared gone: longer
	// than any lease that it could have had when it was heard last, by the slowest clock.
	recoverSilence = 11 * time.Second
	// forsakeFor is how long survivors do not listen to the dead before group 0 says so: the
	// one that knows of the decision may be cut off in that moment, and operators have to
	// read what they are told. oathFor is how long they may begin by what they swore.
	forsakeFor = time.Minute
	oathFor    = 10 * time.Second
	// recoverWait is how long survivors may take to answer each question, tellWait until all
	// of them have applied what group 0 decided, which may have to be led anew first. All of
	// it together is shorter than what they swear.
	recoverWait = 1100 * time.Millisecond
	tellWait    = 4 * time.Second
)

// recoverOrder is an operator's word to the node that is asked.
type recoverOrder struct {
	Gone   []shardmap.NodeID `json:"gone"`
	Accept bool              `json:"accept"` // false: only say what would happen
}

// recoverLook asks a survivor what it has, and what it heard of the dead.
type recoverLook struct {
	Gone []shardmap.NodeID `json:"gone"`
	Oath string            `json:"oath,omitempty"` // listen to them no more; "": only a look
}

// survivorWord is the answer.
type survivorWord struct {
	Silent     []time.Duration  `json:"silentNs"` // of each that is asked about
	Generation uint64           `json:"generation"`
	Meta       uint64           `json:"meta"`  // version of group 0's state that it has applied
	Nodes      []nodeKnown      `json:"nodes"` // that it knows of
	Groups     []survivingGroup `json:"groups"`
}

// nodeKnown is a node that a survivor knows of.
type nodeKnown struct {
	ID   shardmap.NodeID `json:"id"`
	Name string          `json:"name"`
	UUID meta.UUID       `json:"uuid"`
}

// survivingGroup is a survivor's replica of a group.
type survivingGroup struct {
	Group    shardmap.GroupID  `json:"group"`
	Replica  uint64            `json:"replica"` // raft id
	Log      multiraft.LogEnd  `json:"log"`
	Conf     uint64            `json:"conf"` // index of the entry that made the configuration
	Voters   []uint64          `json:"voters"`
	Outgoing []uint64          `json:"outgoing,omitempty"`
	Served   bool              `json:"served"` // it holds the lease
	Copy     shardgroup.Survey `json:"copy"`
}

// recoverBegin tells a survivor to go on with groups.
type recoverBegin struct {
	Oath       string            `json:"oath"` // that was sworn to who sends this
	Generation uint64            `json:"generation"`
	Gone       []shardmap.NodeID `json:"gone"`
	Groups     []recoveredGroup  `json:"groups"`
	Empty      []meta.Refounded  `json:"empty"`
	Word       meta.Recovery     `json:"word"` // the decision: goes into group 0, or is there
}

// metaOnly reports whether group 0 is to go on, and nothing else: first comes the decision.
func (q *recoverBegin) metaOnly() bool {
	return len(q.Empty) == 0 && len(q.Groups) == 1 && q.Groups[0].Group == shardmap.MetaGroup
}

// recovery is one that is under way at the node that was asked.
type recovery struct {
	order    recoverOrder
	ask      []meta.Node // the survivors
	words    map[shardmap.NodeID]survivorWord
	plan     recoveryPlan
	report   RecoveryReport
	sworn    string // what the survivors swear not to listen to the dead, "" when they have not
	waits    int    // answers that are still to come
	deadline time.Duration
	late     string // what is said when it passes
	done     func(Answer)
}

// errUnfilled is what a node says that knows nothing yet.
const errUnfilled = "this node has not been filled by group 0: ask another survivor"

func declined(format string, args ...any) Answer { return Answer{Err: fmt.Sprintf(format, args...)} }

// forsakes reports whether a node was declared gone: nothing that it says is heard.
func (c *Core) forsakes(n shardmap.NodeID) bool {
	if c.meta != nil && len(c.meta.Recoveries) > 0 && c.meta.Forsook(n) {
		return true
	}
	until, ok := c.forsaken[n]
	return ok && c.now.Mono < until
}

// answerRecover begins a recovery, or says what one would do.
func (c *Core) answerRecover(body []byte, now multiraft.Instant, done func(Answer)) {
	var o recoverOrder
	if err := json.Unmarshal(body, &o); err != nil {
		done(declined("the question cannot be read: %v", err))
		return
	}
	if why := c.refusesRecovery(o); why != "" {
		done(Answer{Err: why})
		return
	}
	r := &recovery{order: o, done: done}
	for _, row := range c.meta.Nodes {
		if row.Intent != meta.Gone && !slices.Contains(o.Gone, row.ID) {
			r.ask = append(r.ask, row)
		}
	}
	c.recovery = r
	c.askSurvivors(r, now)
}

// askSurvivors asks all of them what they have, and to listen to the dead no more if that
// was not the first time.
func (c *Core) askSurvivors(r *recovery, now multiraft.Instant) {
	r.words, r.waits, r.deadline = map[shardmap.NodeID]survivorWord{}, len(r.ask), now.Mono+recoverWait
	look := answerOf(recoverLook{r.order.Gone, r.sworn}).Body
	sworn := r.sworn
	for _, row := range r.ask {
		c.Ask(row.ID, "recover-look", look, now, func(a Answer) {
			if r.sworn == sworn {
				c.heardSurvivor(r, row, a)
			}
		})
	}
}

// refusesRecovery says why nobody needs to be asked, "" when they do.
func (c *Core) refusesRecovery(o recoverOrder) string {
	switch {
	case c.meta == nil:
		return errUnfilled
	case c.recovery != nil:
		return "a recovery is under way at this node: try again"
	case len(o.Gone) == 0:
		return "name the nodes that are gone for good: nobody else can know it"
	case slices.Contains(o.Gone, c.self.Node):
		return c.cfg.Name + " is the node that was asked, so it is not gone"
	}
	for _, n := range o.Gone {
		if _, known := c.meta.Node(n); !known && !c.meta.Forsook(n) {
			return fmt.Sprintf("there is no node %d", n)
		}
	}
	return ""
}

// endRecovery answers the operator.
func (c *Core) endRecovery(r *recovery, a Answer) {
	if c.recovery == r {
		c.recovery = nil
		r.done(a)
	}
}

// tickRecovery gives up on survivors that do not answer.
func (c *Core) tickRecovery(now multiraft.Instant) {
	if r := c.recovery; r != nil && now.Mono >= r.deadline {
		if r.late == "" {
			var silent []string
			for _, row := range r.ask {
				if _, ok := r.words[row.ID]; !ok {
					silent = append(silent, row.Name)
				}
			}
			r.late = strings.Join(silent, ", ") + " did not answer: a node that is not named must take part, so start it, or name it as well if it is gone for good"
		}
		c.endRecovery(r, Answer{Err: r.late})
	}
}

// heardSurvivor takes what one survivor says; after the last the plan is made.
func (c *Core) heardSurvivor(r *recovery, row meta.Node, a Answer) {
	var w survivorWord
	switch {
	case c.recovery != r:
	case a.Err != "":
		c.endRecovery(r, declined("%s: %s", row.Name, a.Err))
	case json.Unmarshal(a.Body, &w) != nil || len(w.Silent) != len(r.order.Gone):
		c.endRecovery(r, declined("%s answers what this version does not read: use the same version on all survivors", row.Name))
	default:
		c.tookWord(r, row, w)
	}
}

func (c *Core) tookWord(r *recovery, row meta.Node, w survivorWord) {
	for i, n := range r.order.Gone {
		if s := w.Silent[i]; s < recoverSilence {
			c.endRecovery(r, declined("%s was heard %v ago at %s, or that node has not run for longer: a node is declared gone only when nobody has heard it for %v; if it runs, stop it", c.nameOf(n), s.Round(100*time.Millisecond), row.Name, recoverSilence))
			return
		}
	}
	for _, n := range w.Nodes {
		if _, known := c.meta.Node(n.ID); !known && !c.meta.WasRemoved(n.UUID) && !slices.Contains(r.order.Gone, n.ID) {
			c.endRecovery(r, declined("%s knows of %s (node %d), which has not been heard of here: ask %s", row.Name, n.Name, n.ID, row.Name))
			return
		}
	}
	r.words[row.ID] = w
	if r.waits--; r.waits == 0 {
		c.planned(r)
	}
}

// planned says what would happen, or has it happen.
func (c *Core) planned(r *recovery) {
	r.plan = planRecovery(c.meta.Settings.Groups, r.ask, r.words, func(n shardmap.NodeID) bool {
		_, known := c.meta.Node(n)
		return !known || slices.Contains(r.order.Gone, n) || c.meta.Forsook(n)
	})
	if r.plan.nothing() {
		c.endRecovery(r, declined("nothing is lost without %s: group 0 and every group still have their majority; decommission, or replacement after replace-after, makes their copies elsewhere and loses nothing", c.namesOf(r.order.Gone)))
		return
	}
	if row := r.knowsMore(c.meta); r.plan.metaLost() && row.ID != 0 {
		c.endRecovery(r, declined("%s knows more of what group 0 decided (version %d, here %d), of the nodes there are and what is wanted of them: ask %s", row.Name, r.words[row.ID].Meta, c.meta.Version, row.Name))
		return
	}
	if len(r.plan.Empty) > 0 && r.plan.Empty[0].Group == shardmap.MetaGroup {
		c.endRecovery(r, declined("no survivor has a replica of group 0: ask again when they run"))
		return
	}
	if r.plan.Generation > multiraft.GenerationMax {
		c.endRecovery(r, declined("this cluster was recovered %d times, and there is no generation left: make a backup and found a new one", r.plan.Generation-1))
		return
	}
	r.report = c.recoveryReport(r)
	if !r.order.Accept {
		c.endRecovery(r, answerOf(r.report))
		return
	}
	if r.sworn == "" {
		c.nextID++
		r.sworn = fmt.Sprintf("%d.%d.%d", c.self.Node, c.self.Inc.Counter, c.nextID)
		c.askSurvivors(r, c.now)
		return
	}
	c.decide(r, c.recoveryOf(r))
}

// knowsMore is the survivor that knows most of what group 0 decided, where that is more than
// what is known here: the plan is made from it, and nobody can be asked for the rest.
func (r *recovery) knowsMore(here *meta.State) (most meta.Node) {
	known := here.Version
	for _, row := range r.ask {
		if v := r.words[row.ID].Meta; v > known {
			most, known = row, v
		}
	}
	return most
}

// decide has group 0 take the decision, where it goes on or where it is led. What group 0
// does not remember is nothing that any group may go on by: who was declared gone would find
// survivors who know of nothing, and serve with them.
func (c *Core) decide(r *recovery, word *meta.Recovery) {
	to, q, body := c.MetaLeader(), "recover-note", answerOf(word).Body
	if r.plan.metaLost() {
		to, q = r.plan.Groups[0].node(), "recover-begin"
		body = answerOf(recoverBegin{r.sworn, r.plan.Generation, r.order.Gone, r.plan.Groups[:1], nil, *word}).Body
	}
	r.late, r.deadline = undecided+"group 0 did not take the decision in time", c.now.Mono+recoverWait
	c.Ask(to, q, body, c.now, func(a Answer) {
		switch {
		case c.recovery != r:
		case a.Err != "":
			c.endRecovery(r, declined("%s%s", undecided, a.Err))
		default:
			c.tellDecision(r, word)
		}
	})
}

// What operators have to know of a recovery that ends half way.
const (
	undecided = "no group of data went on, but group 0 may still take the decision: keep the named nodes off, and say it again: "
	decided   = "group 0 has decided it, and the named nodes may not come back, but not every group went on: say it again: "
)

// tellDecision waits until every survivor has applied the decision, on its disk: from then
// on each of them turns away whoever was declared gone, whatever becomes of the others.
func (c *Core) tellDecision(r *recovery, word *meta.Recovery) {
	if mutant.Is("recover-untold") {
		c.beginRecovery(r, word)
		return
	}
	body := answerOf(word).Body
	r.waits, r.deadline = len(r.ask), c.now.Mono+tellWait
	r.late = undecided + "not every survivor has heard of the decision"
	for _, row := range r.ask {
		c.Ask(row.ID, "recover-heard", body, c.now, func(a Answer) {
			switch {
			case c.recovery != r:
			case a.Err != "":
				c.endRecovery(r, declined("%s%s: %s", undecided, row.Name, a.Err))
			default:
				if r.waits--; r.waits == 0 {
					c.beginRecovery(r, word)
				}
			}
		})
	}
}

// recoveryOf is what group 0 is to remember.
func (c *Core) recoveryOf(r *recovery) *meta.Recovery {
	word := &meta.Recovery{Generation: r.plan.Generation, Groups: []meta.Continued{}, Empty: r.plan.Empty, At: c.now.Wall, Survivors: len(r.ask)}
	word.By = meta.Maker{Node: c.self.Node, Counter: c.self.Inc.Counter, Order: c.nextID}
	for _, n := range r.order.Gone {
		row, _ := c.meta.Node(n)
		word.Nodes = append(word.Nodes, meta.Forsaken{ID: n, Name: c.nameOf(n), Gossip: row.Addresses.Gossip})
	}
	for _, g := range r.plan.Groups {
		role := meta.Voter
		if roleOf(g.Replica) == multiraft.RoleWitness {
			role = meta.Witness
		}
		word.Groups = append(word.Groups, meta.Continued{Group: g.Group, Node: g.node(), Replica: uint64(uint32(g.Replica)), Role: role})
	}
	return word
}

// beginRecovery tells every survivor its part.
func (c *Core) beginRecovery(r *recovery, word *meta.Recovery) {
	r.late, r.deadline = decided+"not every survivor has answered that it goes on", c.now.Mono+recoverWait
	r.report.Done = true
	parts := map[shardmap.NodeID]*recoverBegin{}
	for _, row := range r.ask {
		p := r.plan.part(row.ID)
		if len(p.Groups)+len(p.Empty) > 0 {
			p.Oath, p.Gone, p.Word = r.sworn, r.order.Gone, *word
			parts[row.ID] = p
		}
	}
	if r.waits = len(parts); r.waits == 0 {
		c.endRecovery(r, answerOf(r.report))
	}
	for _, row := range r.ask {
		p := parts[row.ID]
		if p == nil {
			continue
		}
		c.Ask(row.ID, "recover-begin", answerOf(p).Body, c.now, func(a Answer) {
			if c.recovery != r {
				return
			}
			if a.Err != "" {
				c.endRecovery(r, declined("%s%s does not go on: %s", decided, row.Name, a.Err))
				return
			}
			if r.waits--; r.waits == 0 {
				c.endRecovery(r, answerOf(r.report))
			}
		})
	}
}

func (c *Core) eachName(ns []shardmap.NodeID) []string {
	names := make([]string, len(ns))
	for i, n := range ns {
		names[i] = c.nameOf(n)
	}
	return names
}
