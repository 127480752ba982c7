package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// intents are the words that change what operators want of a node.
var intents = map[string]meta.Intent{"drain": meta.Draining, "undrain": meta.Active, "decommission": meta.Leaving}

// IntentReport is the answer to drain, undrain and decommission.
type IntentReport struct {
	Node    shardmap.NodeID `json:"node"`
	Name    string          `json:"name"`
	Intent  string          `json:"intent"`
	Changed bool            `json:"changed"` // false: it was so before
}

// intendAgain is between the tries to reach the node that leads group 0.
const intendAgain = 50 * time.Millisecond

// SetIntent makes operators' will known to group 0, whichever node is asked.
func (n *Node) SetIntent(name string, to meta.Intent) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), operateMax)
	defer cancel()
	row, err := n.rowOf(ctx, name)
	if err != nil {
		return nil, err
	}
	a, err := n.decide(ctx, func(now multiraft.Instant, done func(Answer)) { n.core.Intend(row.ID, to, now, done) })
	if err != nil {
		return nil, err
	}
	var taken intentTaken
	if err := json.Unmarshal(a.Body, &taken); err != nil {
		return nil, err
	}
	return json.Marshal(IntentReport{row.ID, row.Name, to.String(), taken.Changed})
}

// decide has group 0 decide, and asks again as long as nobody is found who leads it.
func (n *Node) decide(ctx context.Context, ask func(now multiraft.Instant, done func(Answer))) (Answer, error) {
	for {
		a, err := n.askOnce(ctx, ask)
		switch {
		case err != nil:
			return a, errors.New("group 0 took no decision in time, because it has no leader or most of its nodes are away: look at `aegis status` and try again")
		case a.Err == "":
			return a, nil
		case a.Err != errNotMeta.Error() && a.Err != errNoMeta.Error():
			return a, errors.New(a.Err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(intendAgain):
		}
	}
}

// askOnce puts a question that the core answers, and waits for the answer.
func (n *Node) askOnce(ctx context.Context, ask func(now multiraft.Instant, done func(Answer))) (Answer, error) {
	got := make(chan Answer, 1)
	if err := n.host.Do(ctx, func(now multiraft.Instant) { ask(now, func(a Answer) { got <- a }) }); err != nil {
		return Answer{}, err
	}
	select {
	case a := <-got:
		return a, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// Step is one copy that a plan moves.
type Step struct {
	Group shardmap.GroupID `json:"group"`
	From  shardmap.NodeID  `json:"from"` // 0: none is given up for it
	To    shardmap.NodeID  `json:"to"`   // 0: none takes its place
	Bytes int64            `json:"bytes"`
}

// PlanReport is what placement would do.
type PlanReport struct {
	Steps  []Step `json:"steps"`
	Leases int    `json:"leases"` // preferred leaseholders that change
	Copies int    `json:"copies"` // of all groups
	Bytes  int64  `json:"bytes"`  // of all steps, about
	// Share is the part of all copies that moves, from 0 to 1.
	Share float64 `json:"share"`
	// Moving is how far what is under way is.
	Moving *Moving `json:"moving,omitempty"`
	// Halted says that rebalancing is halted: the steps begin when it goes on. A node that
	// is thought away is not part of that: its steps would begin at once.
	Halted bool `json:"halted,omitempty"`
	// Without is the node that is thought away, 0 none.
	Without shardmap.NodeID `json:"without,omitempty"`
}

// Rebalance says which copies the placement moves, where everything is under way
// already, or which it would move if a node left. It changes nothing: group 0 follows
// its plan by itself.
func (n *Node) Rebalance(without string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), operateMax)
	defer cancel()
	r, err := n.Status(2 * time.Second)
	if err != nil {
		return nil, err
	}
	var leaver meta.Node
	if without != "" {
		if leaver, err = n.rowOf(ctx, without); err != nil {
			return nil, err
		}
	}
	var s *meta.State
	var missed []shardmap.NodeID
	if err := n.host.Do(ctx, func(now multiraft.Instant) {
		if m := n.core.Meta(); m != nil {
			missed = n.core.missedNow(now)
			s = &meta.State{Settings: m.Settings, Nodes: slices.Clone(m.Nodes), Groups: slices.Clone(m.Groups), Halted: m.Halted}
		}
	}); err != nil || s == nil {
		return nil, errors.New("the node is too busy to answer: try again")
	}
	if without != "" {
		if why := s.Refuses(leaver.ID, meta.Leaving); why != "" {
			return nil, errors.New(why)
		}
		s.Apply(meta.Entry{Intend: &meta.Intend{Node: leaver.ID, From: leaver.IntentVersion, Intent: meta.Leaving}})
	}
	p := r.plan(placements(s.Nodes, s.Settings, s.Groups, nil, 0, missed, s.Halted && without != ""))
	p.Without, p.Moving, p.Halted = leaver.ID, r.Moving, s.Halted
	return json.Marshal(p)
}

// plan compares a placement with where the copies are.
func (r *ClusterReport) plan(ps []meta.Placement) (p PlanReport) {
	p.Steps = []Step{}
	hs := r.holdings()
	for _, want := range ps {
		g := int(want.Group)
		if want.Group == shardmap.MetaGroup || g >= len(hs) || hs[g].holder == 0 {
			continue
		}
		var to []shardmap.NodeID
		from := slices.Clone(hs[g].there(len(want.Replicas)))
		for _, w := range want.Replicas {
			if w.Role == meta.Witness {
				continue
			}
			p.Copies++
			if !slices.Contains(from, w.Node) {
				to = append(to, w.Node)
			}
			from = slices.DeleteFunc(from, func(n shardmap.NodeID) bool { return n == w.Node })
		}
		if want.Replicas[0].Node != hs[g].holder {
			p.Leases++
		}
		for i := range max(len(to), len(from)) {
			s := Step{Group: want.Group}
			if i < len(to) {
				s.To, s.Bytes = to[i], hs[g].at.Bytes
			}
			if i < len(from) {
				s.From = from[i]
			}
			p.Steps = append(p.Steps, s)
			p.Bytes += s.Bytes
		}
	}
	if p.Copies > 0 {
		p.Share = float64(len(p.Steps)) / float64(p.Copies)
	}
	return p
}

// namedBy reports whether an operator means a node: by its name, its number or one of
// its addresses.
func namedBy(n meta.Node, word string) bool {
	if n.Name == word || n.Addresses.Client == word || n.Addresses.Cluster == word || n.Addresses.Gossip == word {
		return true
	}
	if id, err := strconv.ParseUint(word, 10, 32); err == nil {
		return uint64(n.ID) == id
	}
	host, port, err := net.SplitHostPort(word)
	if err != nil || host != "localhost" {
		return false
	}
	return n.Addresses.Client == net.JoinHostPort("127.0.0.1", port)
}

// noSuchNode refuses a word that means no node, with the name that may have been meant.
func noSuchNode(word string, names []string) error {
	slices.Sort(names)
	near := ""
	if n := Nearest(word, names); n != "" && editDistance(strings.ToLower(word), strings.ToLower(n)) <= 2 {
		near = fmt.Sprintf(", did you mean %s?", n)
	}
	return fmt.Errorf("%w %q%s there are %s", errNoSuchNode, word, cmp.Or(near, ":"), strings.Join(names, ", "))
}
