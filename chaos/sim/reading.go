package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

const (
	readingMax   = 6 * time.Second        // twice as long as others wait for logs here
	readingEvery = 500 * time.Millisecond // a node that reads says so
)

// slowRead is how a script wants a log to be read: for so long, and getting on or not.
type slowRead struct {
	takes time.Duration
	stuck bool
}

// readingTime is how long a process that starts reads its image and its log. While faults
// go on a third of them take their time.
func (p *process) readingTime() time.Duration {
	d := &p.data
	switch {
	case d.mode == wal.Off || d.disk == nil || p.w.healed:
		return 0
	case d.slow.takes > 0:
		return d.slow.takes
	case !p.w.cfg.Faults || p.w.rng.IntN(3) > 0:
		return 0
	}
	return p.w.span(time.Millisecond, readingMax)
}

// read lets the process read: it is up for nobody, and tells those whom it reaches how far
// it is.
func (p *process) read(r multiraft.Restored, d time.Duration) {
	w, life, stuck := p.w, p.life, p.data.slow.stuck
	p.data.slow = slowRead{}
	w.acted["read for a while"]++
	w.note("node %d reads for %v", p.id, d)
	begun := w.now
	var say func()
	say = func() {
		switch {
		case p.life != life || p.gone:
			return
		case w.now >= begun+d:
			w.note("node %d has read", p.id)
			p.take(r)
			return
		}
		done := uint64(1)
		if !stuck {
			done += uint64(w.now - begun)
		}
		p.tell(node.AppendRecovering(nil, done))
		w.after(min(readingEvery, begun+d-w.now), say)
	}
	say()
}

// tell sends a control frame from a process that takes part in nothing.
func (p *process) tell(frame []byte) {
	for _, o := range p.w.nodes {
		if o == p || !o.up {
			continue
		}
		l := p.w.link(p.id, o.id)
		if l.cut || l.back().cut {
			continue
		}
		life := o.life
		p.w.after(l.delay(), func() {
			o.when(life, func() {
				o.core.Control(p.id, frame, o.clock())
				o.flush()
			})
		})
	}
}
