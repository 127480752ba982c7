package sim

import (
	"time"
)

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

// strike does one thing to one node or link, and plans its end.
func (w *World) strike() {
	p := w.nodes[w.rng.IntN(len(w.nodes))]
	o := w.nodes[(int(p.id)+w.rng.IntN(len(w.nodes)-1))%len(w.nodes)]
	switch w.rng.IntN(8) {
	case 0:
		w.crashFor(p, w.span(100*time.Millisecond, 4*time.Second))
	case 1:
		w.fault("isolate", "node %d", p.id)
		w.isolate(p, true)
		w.after(w.span(200*time.Millisecond, 3*time.Second), func() { w.isolate(p, false) })
	case 2:
		l := w.link(p.id, o.id)
		w.fault("one-way cut", "%d -> %d", p.id, o.id)
		l.setCut(true)
		w.after(w.span(200*time.Millisecond, 3*time.Second), func() { l.setCut(false) })
	case 3:
		d := w.span(100*time.Millisecond, 3*time.Second)
		if p.up {
			w.fault("pause", "node %d for %v", p.id, d)
			p.paused = w.now + d
		}
	case 4:
		l := w.link(p.id, o.id)
		w.fault("packet loss", "%d -> %d", p.id, o.id)
		l.loss = w.rng.Float64()
		w.after(w.span(time.Second, 4*time.Second), func() { l.loss = 0 })
	case 5:
		w.fault("no UDP", "node %d", p.id)
		for _, q := range w.nodes {
			if q != p {
				w.link(p.id, q.id).noUDP, w.link(q.id, p.id).noUDP = true, true
			}
		}
		w.after(w.span(time.Second, 4*time.Second), func() { w.healUDP(p) })
	case 6:
		l := w.link(p.id, o.id)
		w.fault("slow link", "%d -> %d", p.id, o.id)
		l.delayMax = w.span(5*time.Millisecond, 200*time.Millisecond)
		w.after(w.span(time.Second, 4*time.Second), func() { l.delayMax = time.Millisecond })
	case 7:
		w.fault("wall jump", "node %d", p.id)
		p.offset += w.span(-2*time.Second, 2*time.Second)
	}
}

func (w *World) crashFor(p *process, d time.Duration) {
	if !p.up {
		return
	}
	w.fault("crash", "node %d for %v", p.id, d)
	p.crash()
	life := p.life
	w.after(d, func() {
		if !p.up && p.life == life {
			w.note("node %d starts", p.id)
			p.start()
		}
	})
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

// heal ends every fault.
func (w *World) heal() {
	w.note("heal")
	for _, p := range w.nodes {
		p.paused = 0
		w.healUDP(p)
		if !p.up {
			p.start()
		}
	}
	for _, p := range w.nodes {
		for _, o := range w.nodes {
			if o != p {
				l := w.link(p.id, o.id)
				l.setCut(false)
				l.loss, l.delayMax = 0, time.Millisecond
			}
		}
	}
	w.reconnect()
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
