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
// that answer on they do not listen to the dead. From that follows which groups lost their majority, and which survivor
// goes on with each. Every survivor looks once more for itself before it begins.

const (
	// recoverSilence is how long nobody may have heard a node that is declared gone: longer
	// than any lease that it could have had when it was heard last, by the slowest clock.
	recoverSilence = 11 * time.Second
	// forsakeFor is how long survivors do not listen to the dead before group 0 says so.
	forsakeFor = 10 * time.Second
	// recoverWait is how long survivors may take to answer each of the four questions.
	recoverWait = 1100 * time.Millisecond
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
	Groups     []survivingGroup `json:"groups"`
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
	Meta       *meta.Recovery    `json:"meta,omitempty"` // goes into group 0, where that is among the groups
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

// answerLook says what this node has, and forsakes the dead if that is asked.
func (c *Core) answerLook(body []byte, now multiraft.Instant) Answer {
	var q recoverLook
	if err := json.Unmarshal(body, &q); err != nil {
		return declined("the question cannot be read: %v", err)
	}
	if c.meta == nil {
		return declined("group 0 has not filled it yet: stop it, and name it as well")
	}
	w := survivorWord{Generation: c.meta.Generation()}
	for _, n := range q.Gone {
		if n == c.self.Node {
			return declined("it is alive")
		}
		w.Silent = append(w.Silent, c.unheard(n, now))
	}
	if q.Oath != "" && len(w.Silent) > 0 && slices.Min(w.Silent) >= recoverSilence {
		c.forsake(q.Gone, now)
		c.sworn = oath{q.Oath, now.Mono + forsakeFor}
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
	r.words[row.ID] = w
	if r.waits--; r.waits == 0 {
		c.planned(r)
	}
}

// planned says what would happen, or has it happen.
func (c *Core) planned(r *recovery) {
	r.plan = planRecovery(c.meta.Settings.Groups, r.ask, r.words, func(n shardmap.NodeID) bool {
		return slices.Contains(r.order.Gone, n) || c.meta.Forsook(n)
	})
	if r.plan.nothing() {
		c.endRecovery(r, declined("nothing is lost without %s: group 0 and every group still have their majority; decommission, or replacement after replace-after, makes their copies elsewhere and loses nothing", c.namesOf(r.order.Gone)))
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
	word := c.recoveryOf(r)
	r.late, r.deadline = "group 0 did not take the decision in time: look at `aegis status` and say it again", c.now.Mono+recoverWait
	if r.plan.metaLost() {
		c.beginRecovery(r, word)
		return
	}
	c.Ask(c.MetaLeader(), "recover-note", answerOf(word).Body, c.now, func(a Answer) {
		if c.recovery != r {
			return
		}
		if a.Err != "" {
			c.endRecovery(r, a)
			return
		}
		c.beginRecovery(r, nil)
	})
}

// recoveryOf is what group 0 is to remember.
func (c *Core) recoveryOf(r *recovery) *meta.Recovery {
	word := &meta.Recovery{Generation: r.plan.Generation, Groups: []meta.Continued{}, Empty: r.plan.Empty, At: c.now.Wall}
	for _, n := range r.order.Gone {
		word.Nodes = append(word.Nodes, meta.Forsaken{ID: n, Name: c.nameOf(n)})
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
	r.late, r.deadline = "not every survivor has answered that it goes on: look at `aegis status`, and say it again if groups are not served", c.now.Mono+recoverWait
	r.waits = 0
	parts := map[shardmap.NodeID]*recoverBegin{}
	for _, row := range r.ask {
		p := r.plan.part(row.ID)
		if len(p.Groups)+len(p.Empty) == 0 {
			continue
		}
		p.Oath = r.sworn
		if p.Gone = r.order.Gone; len(p.Groups) > 0 && p.Groups[0].Group == shardmap.MetaGroup {
			p.Meta = word
		}
		parts[row.ID] = p
		r.waits++
	}
	r.report.Done = true
	for _, row := range r.ask {
		p := parts[row.ID]
		if p == nil {
			continue
		}
		c.Ask(row.ID, "recover-begin", answerOf(p).Body, c.now, func(a Answer) {
			if a.Err != "" {
				c.endRecovery(r, declined("%s does not go on: %s; nothing is lost by that: say it again", row.Name, a.Err))
				return
			}
			if r.waits--; r.waits == 0 {
				c.endRecovery(r, answerOf(r.report))
			}
		})
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
			return c.regeneratedMeta(q.Meta, tail)
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
	if word != nil && !mutant.Is("recover-unnamed") {
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

// decided reports whether group 0 took this very decision, as far as this node knows, and
// whether it took another one in its place.
func (c *Core) decided(word meta.Recovery) (this, other bool) {
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

// notedAll answers those whose decision was applied, or who waited too long.
func (c *Core) notedAll() {
	c.noted = slices.DeleteFunc(c.noted, func(w noting) bool {
		switch this, other := c.decided(w.word); {
		case this:
			w.answer(answerOf(struct{}{}))
		case other:
			w.answer(declined("somebody else has just decided something: look at `aegis status`"))
		case c.now.Mono > w.deadline:
			w.answer(declined("group 0 did not take the decision in time: try again"))
		default:
			return false
		}
		return true
	})
}

func (c *Core) eachName(ns []shardmap.NodeID) []string {
	names := make([]string, len(ns))
	for i, n := range ns {
		names[i] = c.nameOf(n)
	}
	return names
}
