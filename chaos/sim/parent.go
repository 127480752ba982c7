package sim

import "time"

// wordMax is how late a parent says again that a worker is dead: the next one may run, and
// lead, by then.
const wordMax = 3 * time.Second

// killWorker ends a node's process beside its parent, which says that this incarnation is
// over, at once and again later, and starts the next one.
func killWorker(w *World, p, _ *process) {
	if !p.up {
		return
	}
	d := w.span(time.Millisecond, 2*time.Second)
	w.fault("killed worker", "node %d for %v", p.id, d)
	p.die()
	for range 2 {
		w.after(w.span(0, wordMax), p.lastWord)
	}
	w.startIn(p, d)
}

// die ends the process; its parent has waited for it, and speaks.
func (p *process) die() {
	p.crash()
	p.heir.Bury()
	p.lastWord()
}

// lastWord is what the parent says of the worker that it buried last, to all whom that one
// knew: by packets and by connections of its own.
func (p *process) lastWord() {
	word := p.heir.LastWord()
	for _, o := range p.w.nodes {
		if o == p {
			continue
		}
		l := p.w.link(p.id, o.id)
		if l.datagram(word, false); !l.cut && !l.back().cut && o.up && p.reaches(o) {
			p.w.after(3*l.delay(), l.parcel(leasePacketTCP, word).arrive)
		}
	}
}
