package sim

import (
	"slices"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// haltScripts are about operators who halt rebalancing.
var haltScripts = []Script{
	{
		// D joins and fills copies of three groups, as its share of load is. Amid that operators
		// halt it: everything goes back to where it was, and stays so when group 0 has another
		// holder. Then C dies: what is missing is made on D all the same. E joins and gets
		// nothing, until rebalancing goes on.
		Name: "rebalancing is halted amid a join", From: "issue 6: cancellable", Groups: 4, Replaces: true, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.twoCopies(),
			do.joins(nodeD),
			do.until("P13", 20*sec, "D is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
			do.hush(nodeA, nodeD, true), do.hush(nodeB, nodeD, true), do.hush(nodeC, nodeD, true),
			do.until("P13", 20*sec, "D is a member of groups", func(s *stage) bool { return s.member(nodeD) >= 2 }),
			do.halt(true),
			do.until("P13", 10*sec, "D is a member of none", func(s *stage) bool { return s.member(nodeD) == 0 && s.wanted(nodeD) == 0 }),
			do.hush(nodeA, nodeD, false), do.hush(nodeB, nodeD, false), do.hush(nodeC, nodeD, false),
			do.restartsMeta(),
			do.sleep(5 * sec),
			do.load("while it is halted", func(s *stage) bool { return s.wanted(nodeD) == 0 && s.registry().Halted }),
			do.set(holder, "k", "2", majority),
			do.losesDisk(nodeC),
			do.until("P13", 60*sec, "D has what C had, and C is gone", func(s *stage) bool {
				_, named := s.registry().Node(s.cast[nodeC].id)
				return !named && s.wanted(nodeD) == 4
			}),
			do.joins(nodeE),
			do.until("P13", 20*sec, "E is taken in", func(s *stage) bool { return s.cast[nodeE].up }),
			do.sleep(5 * sec),
			do.load("still", func(s *stage) bool { return s.wanted(nodeE) == 0 && s.member(nodeE) == 0 }),
			do.halt(false),
			do.until("P13", 60*sec, "everybody has three copies", func(s *stage) bool {
				return !slices.ContainsFunc([]role{nodeA, nodeB, nodeD, nodeE}, func(r role) bool { return s.wanted(r) != 3 || s.member(r) != 3 })
			}),
			do.settled(),
			do.get(holder, "k"),
		},
	},
	{
		// Who is sent away in a halt leaves: that word is about one node, and newer.
		Name: "sent away while rebalancing is halted", From: "issue 6: cancellable", Nodes: 4, Groups: 4, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.twoCopies(),
			do.halt(true),
			do.intend(nodeA, meta.Leaving),
			do.left(60*sec, nodeA),
			do.load("nobody else moved", func(s *stage) bool { return s.wanted(nodeB)+s.wanted(nodeC)+s.wanted(nodeD) == 12 }),
			do.get(holder, "k"),
			do.halt(false),
			do.settled(),
		},
	},
}

// halt lets rebalancing rest or go on, as a node that runs is told.
func (verbs) halt(on bool) Step {
	word := map[bool]string{true: "rests", false: "goes on"}[on]
	return Step{"rebalancing " + word, func(s *stage) {
		s.halt(on)
		s.must(s.proceed(10*sec, func() bool { return s.registry().Halted == on }), "P13", "not within 10s: rebalancing %s", word)
	}}
}

// halt asks a node that runs, again until it is taken.
func (w *World) halt(on bool) {
	again := func() { w.after(askEvery, func() { w.halt(on) }) }
	at := slices.IndexFunc(w.nodes, func(p *process) bool { return p.runs() && !p.asking })
	if at < 0 {
		again()
		return
	}
	p := w.nodes[at]
	p.core.Halt(on, p.clock(), func(a node.Answer) {
		if a.Err != "" {
			w.note("rebalancing is not to be halted (%v): %s", on, a.Err)
			again()
		}
	})
	p.flush()
}

// load wants something to be so.
func (verbs) load(when string, so func(*stage) bool) Step {
	return Step{"copies stand where they should, " + when, func(s *stage) {
		if !so(s) {
			s.describe()
			s.broke("P13", "copies do not stand where they should, %s: halted %v, %+v", when, s.registry().Halted, s.registry().Groups)
		}
	}}
}

// wanted counts the groups of data of which a node is to have a copy.
func (s *stage) wanted(r role) (groups int) {
	for _, g := range s.registry().Groups[1:] {
		if w, ok := g.On(s.cast[r].id); ok && w.HoldsData() {
			groups++
		}
	}
	return groups
}

// member counts the groups of data in whose configuration, where they are led, a node is.
func (s *stage) member(r role) (groups int) {
	for g := 1; g <= s.cfg.Groups; g++ {
		for _, p := range s.nodes {
			if !p.runs() {
				continue
			}
			st, ok := p.core.Raft().Group(shardmap.GroupID(g))
			if _, on := st.Config.On(s.cast[r].id); ok && st.Leads && on {
				groups++
				break
			}
		}
	}
	return groups
}

// restartsMeta kills the node that holds group 0, and starts it again when another one does.
func (verbs) restartsMeta() Step {
	return Step{"the holder of group 0 is killed, and another one holds it", func(s *stage) {
		holds := func() int {
			return slices.IndexFunc(s.nodes, (*process).holdsMeta)
		}
		s.must(s.proceed(10*sec, func() bool { return holds() >= 0 }), "script", "nobody holds group 0")
		p := s.nodes[holds()]
		p.crash()
		s.must(s.proceed(20*sec, func() bool { at := holds(); return at >= 0 && s.nodes[at] != p }), "P13", "nobody else holds group 0")
		p.start()
		s.must(s.proceed(20*sec, func() bool { return s.unrest() == "" }), "P13", "no rest after the restart of node %d: %s", p.id, s.unrest())
	}}
}

// holdsMeta reports whether a process holds group 0.
func (p *process) holdsMeta() bool {
	if !p.runs() {
		return false
	}
	st, _ := p.core.Raft().Group(shardmap.MetaGroup)
	return st.Open
}

// twoCopies wants every shard to have two whole copies at every instant from here on.
func (verbs) twoCopies() Step {
	return do.watching("every shard has two whole copies", func(s *stage) bool {
		for id := range shardmap.ShardID(s.cfg.Shards) {
			whole := 0
			for _, p := range s.nodes {
				if r := p.copyOf(id); r != nil {
					if _, _, _, w := r.CopyDigest(id); w {
						whole++
					}
				}
			}
			if whole < 2 {
				return false
			}
		}
		return true
	})
}
