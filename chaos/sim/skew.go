package sim

import "time"

// skew knows between which times the shards' time must lie, from outside: clocks
// jump, and shard time follows them within limits.
type skew struct {
	nodes []nodeSkew
	most  int64 // highest wall time that any node ever had
	turn  time.Duration
}

// nodeSkew is how far a wall clock was from true time, at the least, in this
// window of time and the one before.
type nodeSkew struct {
	now, before int64
}

const (
	// skewWindow is when shard time has surely followed a jump: a lease that is
	// valid was acknowledged within the promise, and the ceiling goes with it.
	skewWindow = 1500 * time.Millisecond
	// aheadMax is how far a holder's ceiling, where its successor begins, lies above
	// its wall clock.
	aheadMax = 800
	// skewSlack is the longest tick of the data plane that is usual, and some rounding.
	skewSlack = 50
)

// look takes note of every node's wall clock.
func (s *skew) look(w *World) {
	if w.now >= s.turn+skewWindow {
		s.turn = w.now
		for i := range s.nodes {
			s.nodes[i].before, s.nodes[i].now = s.nodes[i].now, w.nodes[i].wall()
		}
	}
	for len(s.nodes) < len(w.nodes) {
		d := w.nodes[len(s.nodes)].wall()
		s.nodes = append(s.nodes, nodeSkew{d, d})
	}
	now := w.now.Milliseconds()
	for i, p := range w.nodes {
		d := p.wall()
		s.nodes[i].now = min(s.nodes[i].now, d)
		s.most = max(s.most, now+d)
	}
}

// wall is the wall clock less the true time, ms.
func (p *process) wall() int64 { return p.clock().Wall - p.w.now.Milliseconds() }

// span is between which times a shard's time lies that a node serves now.
func (s *skew) span(w *World, p *process) (low, high int64) {
	s.look(w)
	n := &s.nodes[w.place(p.id)]
	return w.now.Milliseconds() + min(n.now, n.before) - skewSlack, s.most + aheadMax + skewSlack
}
