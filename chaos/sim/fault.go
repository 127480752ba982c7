package sim

import (
	"slices"
	"time"
)

// fault is one kind of trouble. It strikes a node, or what lies between it and
// another one, and plans its own end.
type fault struct {
	name   string
	often  int // how often, beside the others
	strike func(w *World, p, o *process)
}

// plainFaults are the kinds that the first seeds of testdata were found with.
var plainFaults = []fault{
	{"crash", 3, func(w *World, p, _ *process) { w.crashFor(p, w.span(100*time.Millisecond, 4*time.Second)) }},
	{"isolate", 3, isolateOne},
	{"one-way cut", 3, cutOneWay},
	{"pause", 3, func(w *World, p, _ *process) { w.pause(p, w.span(100*time.Millisecond, 3*time.Second)) }},
	{"packet loss", 3, losePackets},
	{"no UDP", 3, noUDP},
	{"slow link", 3, slowLink},
	{"wall jump", 3, func(w *World, p, _ *process) {
		w.fault("wall jump", "node %d", p.id)
		p.clocks.offset += w.span(-2*time.Second, 2*time.Second)
	}},
}

// allFaults are all kinds. Those that take a whole cluster down are the seldom ones:
// what does not serve shows nothing.
var allFaults = append(slices.Clone(plainFaults), []fault{
	{"crash of all", 1, crashAll},
	{"restart storm", 1, restartStorm},
	{"suspend", 3, suspend},
	{"clock rate", 2, clockRate},
	{"clock slew", 2, clockSlew},
	{"failing disk", 2, failDisk},
	{"stalled disk", 2, stallDisk},
	{"partition", 2, partition},
	{"partial partition", 2, cutPairs},
	{"link flap", 3, flapLink},
	{"acks lost", 2, loseAcks},
	{"swizzle", 1, swizzle},
	{"lying gossip", 2, lie},
	{"leave", 3, func(w *World, p, _ *process) { w.leaveFor(p, w.span(100*time.Millisecond, 4*time.Second)) }},
	{"killed worker", 2, killWorker},
	{"join", 2, func(w *World, _, _ *process) { w.invite() }},
	{"lost disk", 1, loseDisk},
}...)

// wildFaults make clocks worse than the protocol allows. A run that has them may
// break what rests on clocks, and nothing else.
var wildFaults = []fault{
	{"wild rate", 6, wildRate},
	{"wild jump", 4, wildJump},
}

// logFaults are of clusters with logs.
var logFaults = []fault{
	{"power cut", 3, cutPower},
	{"rotten image", 1, rotImage},
}

// drawFaults decides which kinds a run meets: half of the runs all of them, the
// others each with a chance of one half. What is rare beside everything else is
// common where little else happens. A disk is lost in one run of three: no other
// node can be left broken then.
func (w *World) drawFaults() {
	if w.cfg.Plain {
		w.kinds = plainFaults
		return
	}
	keepDisks := w.rng.IntN(3) != 0
	for some := w.rng.IntN(2) == 0; len(w.kinds) == 0; {
		for _, k := range allFaults {
			if keepDisks && k.name == "lost disk" {
				continue
			}
			if !some || w.rng.IntN(2) == 0 {
				w.kinds = append(w.kinds, slices.Repeat([]fault{k}, k.often)...)
			}
		}
	}
	if len(w.cfg.Log) > 0 {
		for _, k := range logFaults {
			w.kinds = append(w.kinds, slices.Repeat([]fault{k}, k.often)...)
		}
	}
	if w.operated {
		for _, k := range operatorFaults {
			w.kinds = append(w.kinds, slices.Repeat([]fault{k}, k.often)...)
		}
	}
	if w.history.Wild = !w.cfg.Second && w.rng.IntN(12) == 0; w.history.Wild {
		for _, k := range wildFaults {
			w.kinds = append(w.kinds, slices.Repeat([]fault{k}, k.often)...)
		}
	}
}

// faults plans the next fault until the time for faults is over.
func (w *World) faults() {
	if w.now >= w.cfg.Duration {
		return
	}
	w.after(300*time.Millisecond+time.Duration(w.rng.Int64N(int64(3*time.Second))), func() {
		if w.now < w.cfg.Duration {
			w.strike()
			w.faults()
		}
	})
}

func (w *World) span(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)))
}

// strike does one thing to one node or link.
func (w *World) strike() {
	nodes := w.members()
	p := nodes[w.rng.IntN(len(nodes))]
	o := p
	if len(nodes) > 1 {
		at := slices.Index(nodes, p)
		o = nodes[(at+1+w.rng.IntN(len(nodes)-1))%len(nodes)]
	}
	w.kinds[w.rng.IntN(len(w.kinds))].strike(w, p, o)
}

// members are the nodes of the cluster that are not gone for good.
func (w *World) members() []*process {
	if !slices.ContainsFunc(w.nodes, func(p *process) bool { return p.gone || p.asking }) {
		return w.nodes
	}
	return slices.DeleteFunc(slices.Clone(w.nodes), func(p *process) bool { return p.gone || p.asking })
}

// lift plans the end of a fault, which heal may bring about before.
func (w *World) lift(d time.Duration, f func()) {
	w.after(d, func() {
		if !w.healed {
			f()
		}
	})
}
