package sim

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Half of all clusters have operators, who send nodes away, take them back and move
// leases by hand amid everything else, and replace nodes that are dead.

// replaceAfter is how long a simulated node is missed before it is replaced: longer
// than any fault but those that are meant to be too long.
const replaceAfter = 8 * time.Second

// operatorFaults are what operators do, and nodes that are away for too long.
var operatorFaults = []fault{
	{"drain", 2, func(w *World, p, o *process) {
		w.acted["drain"]++
		w.order(o, p.id, meta.Draining)
		w.lift(w.span(time.Second, 8*time.Second), func() { w.order(o, p.id, meta.Active) })
	}},
	{"decommission", 2, func(w *World, p, o *process) {
		w.acted["decommission"]++
		w.order(o, p.id, meta.Leaving)
		if w.rng.IntN(3) == 0 { // and think better of it
			w.lift(w.span(time.Second, 8*time.Second), func() { w.order(o, p.id, meta.Active) })
		}
	}},
	{"long absence", 1, func(w *World, p, _ *process) {
		w.acted["long absence"]++
		w.crashFor(p, w.span(replaceAfter/2, 3*replaceAfter))
	}},
	{"long isolation", 1, func(w *World, p, _ *process) {
		w.fault("long isolation", "node %d", p.id)
		w.isolate(p, true)
		w.lift(w.span(replaceAfter/2, 3*replaceAfter), func() { w.isolate(p, false) })
	}},
	{"failover by hand", 2, func(w *World, p, _ *process) {
		if p.runs() {
			w.fault("failover by hand", "node %d", p.id)
			w.byHand(p, "failover", struct{}{})
		}
	}},
	{"transfer by hand", 4, func(w *World, p, o *process) {
		g := shardmap.GroupID(w.rng.IntN(w.cfg.Groups + 1))
		if p.runs() {
			w.acted["transfer by hand"]++
			w.byHand(p, "transfer", struct {
				Group shardmap.GroupID `json:"group"`
				To    shardmap.NodeID  `json:"to"`
			}{g, o.id})
		}
	}},
	{"rolling restart", 1, func(w *World, _, _ *process) {
		w.fault("rolling restart", "")
		for i, p := range w.members() {
			w.lift(time.Duration(i)*2*time.Second, func() { w.leaveFor(p, w.span(100*time.Millisecond, time.Second)) })
		}
	}},
}

// byHand puts an operators' question to a node.
func (w *World) byHand(p *process, word string, about any) {
	body, err := json.Marshal(about)
	if err != nil {
		panic(err)
	}
	p.core.Ask(p.id, word, body, p.clock(), func(a node.Answer) {
		if a.Err == "" {
			w.acted[word+" by hand, done"]++
		}
	})
	p.flush()
}

// order tells a node what is wanted of one from now on; it may be refused or lost.
func (w *World) order(at *process, of shardmap.NodeID, i meta.Intent) {
	if !at.runs() {
		return
	}
	w.fault("order", "%v of node %d, at node %d", i, of, at.id)
	at.core.Intend(of, i, at.clock(), func(a node.Answer) {
		if a.Err == "" {
			w.acted["order "+i.String()]++
		}
	})
	at.flush()
}

// exileEvery is how often nodes look whether they are still wanted.
const exileEvery = 500 * time.Millisecond

// exiles ends the processes of nodes that were replaced, when they hear it from a node
// that they reach; those that left know it. Blank nodes take the places.
func (w *World) exiles() {
	for _, p := range w.nodes {
		if p.runs() && !p.gone && w.banished(p) {
			w.acted["exiled"]++
			p.depart()
		}
	}
	if w.operated && !w.healed && len(w.members()) < w.target && w.rng.IntN(20) == 0 {
		w.invite()
	}
	w.after(exileEvery, w.exiles)
}

// banished reports whether a member that a node reaches knows that it was removed. Whoever
// was removed itself, as far as the node knows, is not heard.
func (w *World) banished(p *process) bool {
	knows := func(o *process) bool {
		return p.core != nil && p.core.Meta() != nil && p.core.Meta().WasRemoved(w.row(o.id).UUID)
	}
	if w.yields(p) {
		return true
	}
	return slices.ContainsFunc(w.nodes, func(o *process) bool {
		return o != p && o.runs() && !w.link(p.id, o.id).cut && !w.link(o.id, p.id).cut && o.core.Meta() != nil && o.core.Meta().WasRemoved(w.row(p.id).UUID) && !knows(o)
	})
}

// yields reports whether a node reaches another one that went on in a recovery without it, as
// it did without that one, and is the one of the two that ends.
func (w *World) yields(p *process) bool {
	return p.runs() && p.core.Meta() != nil && slices.ContainsFunc(w.nodes, func(o *process) bool {
		if o == p || !o.runs() || o.core.Meta() == nil || w.link(p.id, o.id).cut || w.link(o.id, p.id).cut {
			return false
		}
		_, yields := p.core.Meta().Parted(o.core.Meta().Marks())
		return yields
	})
}

// missed reports whether a node that is away for good is still to be replaced.
func (w *World) missed(p *process) bool {
	if !p.gone && (!p.hurt || p.up) {
		return false
	}
	reg := w.registry()
	if reg == nil {
		return true
	}
	_, named := reg.Node(p.id)
	return named
}

// unreplaced says which node is still wanted that is away for good, though enough
// others could take its place.
func (w *World) unreplaced() string {
	if !w.operated {
		return ""
	}
	reg, living := w.registry(), 0
	for _, n := range reg.Nodes {
		if p := w.node(n.ID); p.up && !p.hurt && n.Intent.Places() {
			living++
		}
	}
	if living < max(w.cfg.Factor, 3) {
		return ""
	}
	for _, p := range w.nodes {
		if w.missed(p) {
			row, _ := reg.Node(p.id)
			if row.Intent.Places() {
				return "a dead node is not replaced: " + row.Name
			}
			return "a dead node is not gone: " + row.Name
		}
	}
	return ""
}
