package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// session is what a client's connection remembers for WAIT and tokens, as the
// node keeps it: the newest write in each shard and the lease it ran under.
type session struct {
	written []written // by shard
}

// written is the newest write of a session in one shard.
type written struct {
	version shardmap.Version
	lease   shardgroup.Lease
	node    *process
	life    int
}

func (s *session) note(p *process, shard shardmap.ShardID, adm shardgroup.Admission) {
	s.written[shard] = written{adm.Version, adm.Lease, p, p.life}
}

// pick draws a shard that the session wrote; false when it wrote nothing.
func (a *actor) pick() (shardmap.ShardID, *written, bool) {
	n := len(a.session.written)
	first := a.w.rng.IntN(n)
	for i := range n {
		id := shardmap.ShardID((first + i) % n)
		if w := &a.session.written[id]; w.version != 0 {
			return id, w, true
		}
	}
	return 0, nil, false
}

const waitMost = 200 * time.Millisecond

// wait is WAIT for one shard: how many seats besides the holder hold what this
// session wrote there. A lease that went answers nothing.
func (a *actor) wait() bool {
	shard, wr, ok := a.pick()
	if !ok || !wr.node.runs() || wr.node.life != wr.life {
		return false
	}
	t, p := &a.turn, wr.node
	r := p.core.Data().ReplicaOf(shard)
	if r == nil {
		return false
	}
	lease, version, number := wr.lease, wr.version, t.number
	t.op, t.at, t.life, t.ran = chaos.Op{}, p, p.life, true
	need := 1 + a.w.rng.IntN(2)
	a.await(p, r, lease, shardgroup.Ticket{Shard: shard, Version: version, Level: shardgroup.Seats, Need: need}, waitMost, func(o shardgroup.Outcome) {
		if !a.during(number) {
			return
		}
		n, ok := r.Holding(lease, shard, version)
		seats := len(r.Seats()) // of when it counts: there may be fewer when the answer leaves
		if o == shardgroup.Unknown || !ok {
			a.w.acted["wait unblocked"]++
			a.end()
			return
		}
		a.later(p, func() {
			now := p.clock()
			if !a.during(number) {
				return
			}
			if lease.Check(now.Mono, now.SuspendOffset) {
				a.w.acted["waited"]++
				a.w.history.Waited(shard, version, n, seats, o == shardgroup.Acked && n < need)
			}
			a.end()
		})
	})
	return true
}

// check asks a node what became of a write: mostly the one that the client thinks
// has the shard, sometimes any other, which may only know what is lost.
func (a *actor) check() bool {
	shard, wr, ok := a.pick()
	if !ok {
		return false
	}
	p := a.server(a.w.layout().GroupOf(shard))
	if a.w.rng.IntN(4) == 0 {
		p = a.w.nodes[a.w.rng.IntN(len(a.w.nodes))]
	}
	if p == nil || !p.runs() {
		return false
	}
	r := p.core.Data().ReplicaOf(shard)
	if r == nil {
		return false
	}
	t := &a.turn
	t.op, t.at, t.life, t.ran = chaos.Op{}, p, p.life, true
	version, number := wr.version, t.number
	verdict, adm, err := r.Verdict(shard, version, p.clock())
	if err != nil {
		verdict = shardgroup.VerdictUnknown
	}
	a.later(p, func() {
		now := p.clock()
		if !a.during(number) {
			return
		}
		if adm.Lease == nil || adm.Lease.Check(now.Mono, now.SuspendOffset) {
			a.w.acted["verdict "+verdict.String()]++
			a.w.history.Judged(shard, version, chaos.Verdict(verdict), adm.Lease != nil, p.id, a.w.now)
		}
		a.end()
	})
	return true
}

// watch looks after requests whose node died, and at the clocks.
func (w *World) watch() {
	w.skew.look(w)
	w.memory()
	for _, a := range w.clients {
		a.hung()
	}
	w.after(100*time.Millisecond, w.watch)
}
