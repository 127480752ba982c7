package sim

import (
	"time"
)

func isolateOne(w *World, p, _ *process) {
	w.fault("isolate", "node %d", p.id)
	w.isolate(p, true)
	w.lift(w.span(200*time.Millisecond, 3*time.Second), func() { w.isolate(p, false) })
}

func cutOneWay(w *World, p, o *process) {
	if p == o {
		return
	}
	l := w.link(p.id, o.id)
	w.fault("one-way cut", "%d -> %d", p.id, o.id)
	l.setCut(true)
	w.lift(w.span(200*time.Millisecond, 3*time.Second), func() { l.setCut(false) })
}

func losePackets(w *World, p, o *process) {
	if p == o {
		return
	}
	l := w.link(p.id, o.id)
	w.fault("packet loss", "%d -> %d", p.id, o.id)
	l.loss = w.rng.Float64()
	w.lift(w.span(time.Second, 4*time.Second), func() { l.loss = 0 })
}

func noUDP(w *World, p, _ *process) {
	w.fault("no UDP", "node %d", p.id)
	for _, q := range w.nodes {
		if q != p {
			w.link(p.id, q.id).noUDP, w.link(q.id, p.id).noUDP = true, true
		}
	}
	w.lift(w.span(time.Second, 4*time.Second), func() { w.healUDP(p) })
}

func slowLink(w *World, p, o *process) {
	if p == o {
		return
	}
	l := w.link(p.id, o.id)
	w.fault("slow link", "%d -> %d", p.id, o.id)
	l.delayMax = w.span(5*time.Millisecond, 200*time.Millisecond)
	w.lift(w.span(time.Second, 4*time.Second), func() { l.delayMax = time.Millisecond })
}

// partition cuts the nodes into two parts.
func partition(w *World, _, _ *process) {
	var one, two []*process
	for _, p := range w.members() {
		if w.rng.IntN(2) == 0 {
			one = append(one, p)
		} else {
			two = append(two, p)
		}
	}
	if len(one) == 0 || len(two) == 0 {
		return
	}
	w.fault("partition", "%d nodes from %d", len(one), len(two))
	for _, on := range [...]bool{true, false} {
		act := func() {
			for _, p := range one {
				for _, o := range two {
					w.link(p.id, o.id).setCut(on)
					w.link(o.id, p.id).setCut(on)
				}
			}
		}
		if on {
			act()
		} else {
			w.lift(w.span(200*time.Millisecond, 4*time.Second), act)
		}
	}
}

// cutPairs cuts some pairs of nodes, so that not everybody who can reach a third
// one can reach each other.
func cutPairs(w *World, _, _ *process) {
	nodes := w.members()
	var cut []*link
	for i, p := range nodes {
		for _, o := range nodes[:i] {
			if w.rng.IntN(3) == 0 {
				cut = append(cut, w.link(p.id, o.id), w.link(o.id, p.id))
			}
		}
	}
	if len(cut) == 0 {
		return
	}
	w.fault("partial partition", "%d pairs", len(cut)/2)
	for _, l := range cut {
		l.setCut(true)
	}
	w.lift(w.span(200*time.Millisecond, 4*time.Second), func() {
		for _, l := range cut {
			l.setCut(false)
		}
	})
}

// flapLink cuts one direction between two nodes and lets it come back, many times.
func flapLink(w *World, p, o *process) {
	if p == o {
		return
	}
	l := w.link(p.id, o.id)
	w.fault("link flap", "%d -> %d", p.id, o.id)
	end := w.now + w.span(time.Second, 5*time.Second)
	var turn func()
	turn = func() {
		l.setCut(!l.cut && w.now < end)
		if l.cut || w.now < end {
			w.lift(w.span(20*time.Millisecond, 400*time.Millisecond), turn)
		}
	}
	turn()
}

// loseAcks kills the ack connection of one data stream, which goes on: what the
// follower says is lost until it notices and dials again.
func loseAcks(w *World, p, o *process) {
	l := w.link(p.id, o.id)
	w.fault("acks lost", "%d <- %d", p.id, o.id)
	l.noAcks = true
	w.lift(w.span(50*time.Millisecond, time.Second), l.ackUp)
}

// ackUp brings the ack connection up again.
func (l *link) ackUp() {
	if !l.noAcks {
		return
	}
	l.noAcks = false
	if l.to.up {
		l.to.when(l.to.life, func() { l.to.core.Data().AckUp(l.from.id) })
	}
}

// swizzle cuts a random half of all links one by one and lets them come back in
// another order.
func swizzle(w *World, _, _ *process) {
	nodes := w.members()
	w.fault("swizzle", "%d nodes", len(nodes))
	half := w.span(500*time.Millisecond, 2*time.Second)
	for _, p := range nodes {
		for _, o := range nodes {
			if p == o || w.rng.IntN(2) == 0 {
				continue
			}
			l := w.link(p.id, o.id)
			w.lift(w.span(0, half), func() { l.setCut(true) })
			w.lift(half+w.span(0, half), func() { l.setCut(false) })
		}
	}
}

func (l *link) setCut(on bool) {
	if l.cut && !on { // what was under way is lost: a stream must not go on behind it
		l.cutNow()
		l.back().cutNow()
	}
	l.cut = on
	if on { // TCP notices after a while, in both directions
		l.w.after(l.w.span(50*time.Millisecond, 500*time.Millisecond), func() {
			if l.cut {
				l.cutNow()
				l.back().cutNow()
			}
		})
		return
	}
	l.connect()
	l.back().connect()
}

func (w *World) isolate(p *process, on bool) {
	for _, o := range w.nodes {
		if o != p {
			w.link(p.id, o.id).setCut(on)
			w.link(o.id, p.id).setCut(on)
		}
	}
}

func (w *World) healUDP(p *process) {
	for _, q := range w.nodes {
		if q != p {
			w.link(p.id, q.id).noUDP, w.link(q.id, p.id).noUDP = false, false
		}
	}
}

// reconnect brings streams up again, as dialling loops do.
func (w *World) reconnect() {
	for _, p := range w.nodes {
		for _, o := range w.nodes {
			if o != p {
				w.link(p.id, o.id).connect()
			}
		}
	}
	w.after(200*time.Millisecond, w.reconnect)
}
