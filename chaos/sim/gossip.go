package sim

import (
	"fmt"
	"math"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// lie lets gossip say arbitrary things to everybody for a while: no safety property
// may depend on it, and no cluster may come to a stop by it.
func lie(w *World, _, _ *process) {
	w.fault("lying gossip", "for a while")
	end := w.now + w.span(500*time.Millisecond, 4*time.Second)
	var turn func()
	turn = func() {
		w.rumour()
		if w.now < end {
			w.lift(w.span(time.Millisecond, 100*time.Millisecond), turn)
		}
	}
	turn()
}

// rumour tells one node something about another: that it is alive, suspected, dead
// or gone in an incarnation that is too old, the present one or yet to come, and at
// addresses of its own or of somebody else.
func (w *World) rumour() {
	p := w.nodes[w.rng.IntN(len(w.nodes))]
	about := shardmap.NodeID(w.rng.IntN(len(w.nodes) + 2)) // also of nobody, and of one that does not exist
	m := membership.Member{State: membership.State(w.rng.IntN(int(membership.Left) + 1))}
	m.Node, m.Draining = about, w.rng.IntN(2) == 0
	m.ClusterAddr = fmt.Sprintf("10.0.0.%d:7001", w.rng.IntN(8))
	m.Leases, m.MemoryUsed = uint16(w.rng.Uint32()), w.rng.Int64()
	switch now := w.incarnation(about); w.rng.IntN(4) {
	case 0:
		m.Incarnation = w.rng.Uint64N(now + 1)
	case 1:
		m.Incarnation = now + w.rng.Uint64N(3)
	case 2:
		m.Incarnation = math.MaxUint64
	default:
		m.Incarnation = now
	}
	if p.runs() {
		w.acted["rumour"]++
		p.core.Gossiped(m, p.clock())
		p.flush()
	}
}

// truth lets gossip say what is so, of everybody to everybody.
func (w *World) truth() {
	for _, p := range w.nodes {
		for _, o := range w.nodes {
			if p == o || !p.runs() {
				continue
			}
			m := membership.Member{State: membership.Alive}
			if !o.up {
				m.State = membership.Dead
			}
			m.Node, m.Incarnation, m.ClusterAddr = o.id, w.incarnation(o.id), address(o.id).Cluster
			p.core.Gossiped(m, p.clock())
			p.flush()
		}
	}
}

// incarnation is the present one of a node, 0 of one that never was.
func (w *World) incarnation(id shardmap.NodeID) uint64 {
	at := w.place(id)
	if at < 0 || !w.nodes[at].up {
		return 0
	}
	return w.nodes[at].core.Self().Inc.Counter
}
