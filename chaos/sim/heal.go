package sim

import (
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
)

// injury is what stays wrong with one node when the time for faults is over: the
// others must not mind.
type injury struct {
	name string
	do   func(w *World, p *process)
}

var injuries = []injury{
	{"left down", func(_ *World, p *process) {
		if p.up {
			p.crash()
		}
	}},
	{"left stopped", func(w *World, p *process) { p.paused = forGood }},
	{"left isolated", func(w *World, p *process) { w.isolate(p, true) }},
	{"left deaf", func(w *World, p *process) {
		for _, o := range w.nodes {
			if o != p {
				w.link(o.id, p.id).setCut(true)
			}
		}
	}},
	{"left mute", func(w *World, p *process) {
		for _, o := range w.nodes {
			if o != p {
				w.link(p.id, o.id).setCut(true)
			}
		}
	}},
	{"left half cut off", func(w *World, p *process) {
		p.reached = true
		others := slices.DeleteFunc(slices.Clone(w.members()), func(o *process) bool { return o == p })
		for _, o := range others[:1+w.rng.IntN(len(others)-1)] {
			w.link(p.id, o.id).setCut(true)
			w.link(o.id, p.id).setCut(true)
		}
	}},
	{"left flapping", flapForGood},
}

// forGood is beyond the end of any run.
const forGood = 1 << 62

// flapForGood lets a node come and go, for ever.
func flapForGood(w *World, p *process) {
	p.reached = true
	cut := false
	var turn func()
	turn = func() {
		cut = !cut
		w.isolate(p, cut)
		w.after(w.span(100*time.Millisecond, 3*time.Second), turn)
	}
	turn()
}

// victim is a node that half of all runs leave broken, nil none: never where a node
// is gone for good already, nor one that some group cannot do without.
func (w *World) victim() *process {
	if w.cfg.Plain || !w.cfg.Faults || w.rng.IntN(2) == 0 {
		return nil
	}
	if slices.ContainsFunc(w.nodes, func(p *process) bool { return p.gone && w.missed(p) || p.asking || p.core == nil }) {
		return nil
	}
	nodes := w.members()
	p := nodes[w.rng.IntN(len(nodes))]
	if len(nodes) < 3 || !w.doWithout(p) {
		return nil
	}
	return p
}

// doWithout reports whether every configuration that anybody knows has a majority
// beside a node, of replicas that are there: one that is exchanged is not yet.
func (w *World) doWithout(p *process) bool {
	for _, o := range w.members() {
		for _, g := range o.core.Raft().Groups() {
			st, _ := o.core.Raft().Group(g)
			for i, set := range [...][]multiraft.ReplicaDesc{st.Config.Voters, st.Config.Outgoing} {
				left := 0
				for _, d := range set {
					if other := w.node(d.Node); other != p && (!other.up || other.core.Raft().Own(g) == d.ID) {
						left++
					}
				}
				if 2*left <= len(set) && (i == 0 || len(set) > 0) {
					return false
				}
			}
		}
	}
	return true
}

// heal ends every fault, but for what is left broken at a victim.
func (w *World) heal() {
	w.note("heal")
	w.healed, w.healedAt = true, w.now
	hurt := w.victim()
	for _, p := range w.nodes {
		p.paused = 0
		p.clocks.fold(w.now)
		p.clocks.asleep, p.clocks.slew = false, 1
		p.clocks.rate = min(max(p.clocks.rate, 1-rateError), 1+rateError)
		p.clocks.offset -= time.Duration(p.wall())*time.Millisecond - epochWall // a node whose wall clock is wrong leaves leases to others
		p.failDisk(nil)
		p.drive.stall = 0
		w.healUDP(p)
	}
	for _, p := range w.nodes {
		if p.up && (p.leaving || p.drive.failed) {
			p.crash()
		}
		if !p.up && !p.gone && !p.asking {
			p.start()
		}
	}
	for _, p := range w.nodes {
		for _, o := range w.nodes {
			if o != p {
				l := w.link(p.id, o.id)
				l.setCut(false)
				l.ackUp()
				l.loss, l.delayMax = 0, time.Millisecond
			}
		}
	}
	for _, p := range w.nodes {
		w.after(0, p.wake) // what came during a pause happens now
	}
	if hurt != nil {
		kind := injuries[w.rng.IntN(len(injuries))]
		w.fault(kind.name, "node %d, for good", hurt.id)
		hurt.hurt = true
		kind.do(w, hurt)
	}
	w.reconnect()
	w.after(time.Second, w.truth) // as a rumour a lie would live for ever
}
