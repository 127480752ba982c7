package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func address(id shardmap.NodeID) meta.Addresses {
	host := "10.0.0." + strconv.Itoa(int(id))
	return meta.Addresses{Client: host + ":7000", Cluster: host + ":7001", Gossip: host + ":7002"}
}

// founding is the record that the first nodes of a cluster keep.
func (w *World) founding(nodes int) node.Founding {
	f := node.Founding{
		Cluster: meta.UUID{1}, Settings: meta.Settings{
			Shards: w.cfg.Shards, Groups: w.cfg.Groups, VirtualNodes: 50, ReplicationFactor: w.cfg.Factor, HashKey: w.rng.Uint64(),
		},
	}
	for i := 1; i <= nodes; i++ {
		f.Nodes = append(f.Nodes, w.row(shardmap.NodeID(i)))
	}
	return f
}

// row is what a node says of itself to the registry.
func (w *World) row(id shardmap.NodeID) meta.Node {
	return meta.Node{ID: id, UUID: meta.UUID{byte(id), byte(id >> 8), byte(id >> 16)}, Name: "n" + strconv.Itoa(int(id)), Addresses: address(id), DataBytes: w.cfg.DataBytes}
}

// place is where a node stands among all that ever were, -1 for one that never was. Ids
// follow one another, but for the gaps that recoveries leave.
func (w *World) place(id shardmap.NodeID) int {
	if at := int(id) - 1; at >= 0 && at < len(w.nodes) && w.nodes[at].id == id {
		return at
	}
	return slices.IndexFunc(w.nodes, func(p *process) bool { return p.id == id })
}

// node is the one with an id that is there.
func (w *World) node(id shardmap.NodeID) *process { return w.nodes[w.place(id)] }

// blank makes the process of a node with an empty disk. Group 0 mints ids one by
// one and only one blank node asks at a time, so the id it will be given is known.
func (w *World) blank() *process {
	id := shardmap.NodeID(len(w.nodes) + 1)
	for _, o := range w.nodes {
		if m := o.core; o.up && m != nil && m.Meta() != nil { // a recovery leaves a gap
			id = max(id, shardmap.NodeID(m.Meta().NextNode))
		}
	}
	p := &process{w: w, id: id, disk: multiraft.NewMemoryStorage(w.row(id).UUID), clocks: newClocks(1 + (w.rng.Float64()*2-1)*rateError)}
	p.data.mode = w.logMode()
	w.nodes = append(w.nodes, p)
	return p
}

// invite lets one more node join, unless there are enough or one is under way.
func (w *World) invite() {
	if len(w.members()) >= w.target || slices.ContainsFunc(w.nodes, func(p *process) bool { return p.asking }) {
		return
	}
	p := w.blank()
	w.fault("join", "node %d", p.id)
	p.start()
}

const (
	askEvery    = 200 * time.Millisecond
	askPatience = 4 * time.Second
)

// ask puts the question of a blank node, or of one that knows its cluster and holds
// nothing of it yet, to some member, again and again until it is taken in.
func (p *process) ask(r multiraft.Restored) {
	p.asking = true
	life, w := p.life, p.w
	again := func(d time.Duration) {
		w.after(d, func() {
			if p.asking && p.life == life {
				p.ask(r)
			}
		})
	}
	q := w.nodes[w.rng.IntN(len(w.nodes))]
	if !q.runs() || q.core.MetaLeader() == 0 {
		again(askEvery)
		return
	}
	n := w.row(p.id)
	n.Generation = r.Identity.Inc.Counter
	b, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	again(askPatience)
	q.core.Ask(q.core.MetaLeader(), "register", b, q.clock(), func(a node.Answer) {
		if a.Err == "" {
			w.after(w.span(50*time.Microsecond, time.Millisecond), func() { p.granted(life, r, a.Body) })
		}
	})
	q.flush()
}

// granted makes a blank node one of the cluster.
func (p *process) granted(life int, r multiraft.Restored, body []byte) {
	if p.life != life || !p.asking {
		return
	}
	var g node.Grant
	if err := json.Unmarshal(body, &g); err != nil {
		panic(err)
	}
	if g.Node.ID != p.id {
		p.w.broke("P11", "node %d is given the id %d by the registry", p.id, g.Node.ID)
		return
	}
	p.w.note("node %d is taken in", p.id)
	p.asking = false
	if !p.keep(&r, g.Founding) {
		return
	}
	p.boot(r, node.CoreConfig{Founding: g.Founding})
	if p.w.rng.IntN(4) == 0 { // before anything of it is durable, perhaps
		p.w.lift(p.w.span(0, 20*time.Millisecond), func() {
			if p.life == life {
				p.w.acted["crash of a newcomer"]++
				p.crash()
				p.w.startIn(p, p.w.span(time.Millisecond, time.Second))
			}
		})
	}
}

// keep makes a founding record a node's own; on a disk that fails it starts again.
func (p *process) keep(r *multiraft.Restored, f node.Founding) bool {
	r.Identity.Node, r.Identity.Cluster = p.id, f.Cluster
	if p.disk.SaveIdentity(r.Identity) != nil {
		p.w.startIn(p, time.Second)
		return false
	}
	p.founded = f
	return true
}

// loseDisk ends a node for good: what comes back with an empty disk is a new node.
// More than one would take some groups' quorum away for ever.
func loseDisk(w *World, p, _ *process) {
	if slices.ContainsFunc(w.nodes, func(o *process) bool { return o.gone && w.missed(o) || o.asking }) || !w.quorate() {
		return
	}
	w.fault("lost disk", "node %d", p.id)
	if p.up {
		p.crash()
	}
	p.gone = true
	w.lift(w.span(100*time.Millisecond, 5*time.Second), w.invite)
}

// quorate reports whether every group has three voters wherever it is known, so
// that it bears the loss of any node.
func (w *World) quorate() bool {
	for _, p := range w.nodes {
		if p.gone && !w.missed(p) {
			continue
		}
		if !p.up {
			return false
		}
		for _, g := range p.core.Raft().Groups() {
			st, _ := p.core.Raft().Group(g)
			if len(st.Config.Voters) < 3 || (st.Config.Joint() && len(st.Config.Outgoing) < 3) {
				return false
			}
		}
	}
	return true
}

const (
	drainLook = 5 * time.Millisecond
	drainMax  = 2 * time.Second
)

// leaveFor stops a node as SIGTERM does, and starts it again: it hands its leases
// over, says that this incarnation is over, and ends.
func (w *World) leaveFor(p *process, d time.Duration) {
	if !p.runs() || p.leaving {
		return
	}
	w.fault("leave", "node %d for %v", p.id, d)
	p.leaving = true
	p.core.Drain(p.clock())
	p.flush()
	w.drained(p, p.life, w.now+drainMax, d)
}

// drained waits until a node holds nothing any more, or for as long as it tries.
func (w *World) drained(p *process, life int, end, d time.Duration) {
	w.lift(drainLook, func() {
		p.when(life, func() {
			if !p.core.Drained() && w.now < end {
				w.drained(p, life, end, d)
				return
			}
			if p.core.Drained() {
				w.acted["drained"]++
			}
			p.core.Leave(p.clock())
			p.flush()
			w.lift(10*time.Millisecond, func() {
				if p.life == life {
					p.crash()
					w.startIn(p, d)
				}
			})
		})
	})
}
