package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// settleLimit is how long copies may take to reach the head once clients stop.
const settleLimit = 5 * time.Second

// settle stops the clients and lets every copy reach the head of its shard.
func (w *World) settle() {
	w.closing = true
	why := ""
	w.memory()
	w.run(w.now + ackWait) // of a seat that is gone for good nobody hears
	for end := w.now + patience; w.asked() && w.now < end; w.run(w.now + 200*time.Millisecond) {
	}
	for end := w.now + settleLimit; w.now < end; {
		w.run(w.now + 200*time.Millisecond)
		if why = w.behind(); why == "" {
			w.copies()
			w.idle()
			w.verdicts()
			return
		}
	}
	w.broke("P13", "%v after the clients stopped: %s", settleLimit, why)
}

// asked reports whether a client still waits for what it asked before it was to stop: it
// may have been let in only now.
func (w *World) asked() bool {
	return slices.ContainsFunc(w.clients, func(a *actor) bool { return a.turn.busy })
}

// copyOf is the copy of a shard that a process has; nil when it is down or has none,
// as a witness.
func (p *process) copyOf(id shardmap.ShardID) *shardgroup.Replica {
	return p.holds(p.w.layout().GroupOf(id))
}

// holds is the replica with a copy that a process has of a group.
func (p *process) holds(g shardmap.GroupID) *shardgroup.Replica {
	if !p.up || p.hurt {
		return nil
	}
	if p.core.Raft().Own(g)&witness != 0 {
		return nil
	}
	return p.core.Data().Replica(g)
}

// witness is the bit of a replica's raft id that says so.
var witness = multiraft.MakeReplica(0, 0, multiraft.RoleWitness).ID

// behind says which copy is not at the head of its shard.
func (w *World) behind() string {
	for i := range w.cfg.Shards {
		id := shardmap.ShardID(i)
		head := w.history.Position(id)
		for _, p := range w.nodes {
			r := p.copyOf(id)
			if r == nil || w.strays(w.layout().GroupOf(id)) || w.inExchange(w.layout().GroupOf(id)) {
				continue
			}
			if _, at, _, whole := r.CopyDigest(id); !whole || at != head {
				return fmt.Sprintf("shard %d: the copy of node %d is at %v (whole: %v), the head is %v", id, p.id, at, whole, head)
			}
		}
	}
	return ""
}

// copies holds every copy at rest against the history.
func (w *World) copies() {
	for i := range w.cfg.Shards {
		id := shardmap.ShardID(i)
		for _, p := range w.nodes {
			if r := p.copyOf(id); r != nil {
				_, at, time, _ := r.CopyDigest(id)
				if at != w.history.Position(id) {
					continue // its holder does not reach it
				}
				c := w.history.Copy(id, p.id, time)
				r.Each(id, c.Entry)
				c.End()
			}
		}
	}
}

// memory holds what each node keeps for replication and for waiting clients
// against its limits (P18).
func (w *World) memory() {
	for _, p := range w.nodes {
		if !p.up {
			continue
		}
		u := p.core.Data().Usage()
		most := u.RingMost
		if w.cfg.BlockBytes > 0 { // a ring keeps its newest block, which is as large as the record in it
			most += int64(w.cfg.Shards) * (longArg + 1<<10)
		}
		if u.RingBytes > most {
			w.broke("P18", "node %d lends %d bytes to rings, with a limit of %d", p.id, u.RingBytes, u.RingMost)
		}
		if most := w.cfg.RingBytes/2 + longArg; u.TailBytes > most && u.TailBytes > p.tailMost() {
			w.broke("P18", "node %d has %d bytes that are not replicated, with a limit of %d", p.id, u.TailBytes, w.cfg.RingBytes/2)
		}
		if u.Tickets > len(w.clients) || len(p.waiting) > len(w.clients) {
			w.broke("P18", "node %d keeps %d waiting replies and %d tickets for %d clients", p.id, len(p.waiting), u.Tickets, len(w.clients))
		}
	}
}

// tailMost is how much may be unreplicated at a node: half its rings, and one record
// for each shard that it serves, which an empty tail always takes; beside what it has of
// holders before it, and as much as there is where an exposure is declared.
func (p *process) tailMost() int64 {
	most := p.w.cfg.RingBytes / 2
	for g := 1; g <= p.w.cfg.Groups; g++ {
		r := p.core.Data().Replica(shardmap.GroupID(g))
		if r == nil || r.Lease() == nil {
			continue
		}
		for _, s := range r.Status(p.clock()).Shards {
			if most += longArg; s.Solo {
				return math.MaxInt64
			}
			if s.Position.Seq() == 0 {
				most += s.TailBytes // it took over more than it may take itself
			}
		}
	}
	return most
}

// idle looks for what is left over when nobody asks for anything any more.
func (w *World) idle() {
	for _, p := range w.nodes {
		if !p.up || p.hurt {
			continue
		}
		tail := false
		for g := 1; g <= w.cfg.Groups; g++ {
			tail = tail || w.maimed(shardmap.GroupID(g))
		}
		if u := p.core.Data().Usage(); u.Tickets != 0 || u.TailBytes != 0 && !tail {
			w.broke("P18", "at rest node %d keeps %d tickets and %d bytes of tail", p.id, u.Tickets, u.TailBytes)
		}
	}
}

// broke tells a violation that the world itself saw.
func (w *World) broke(property, format string, args ...any) {
	w.history.Break(property, format, args...)
}

// verdicts asks what became of the newest writes of each client.
func (w *World) verdicts() {
	for i := range w.cfg.Shards {
		id := shardmap.ShardID(i)
		for _, p := range w.nodes {
			r := p.copyOf(id)
			if r == nil || r.Lease() == nil {
				continue
			}
			for _, a := range w.clients {
				v := a.session.written[id].version
				if v == 0 {
					continue
				}
				verdict, adm, err := r.Verdict(id, v, p.clock())
				if err != nil || (adm.Lease == nil && verdict != shardgroup.VerdictLost) {
					continue
				}
				w.acted["verdict at rest"]++
				if w.maimed(w.layout().GroupOf(id)) { // a majority never hears of it
					w.history.Judged(id, v, chaos.Verdict(verdict), true, p.id, w.now)
				} else {
					w.history.Rested(id, v, chaos.Verdict(verdict), p.id, w.now)
				}
			}
		}
	}
}

// strays reports whether a group is held by a node that is left broken: it may do so
// as long as a quorum hears it, and does not reach everybody.
func (w *World) strays(g shardmap.GroupID) bool {
	for _, p := range w.nodes {
		if !p.up || !p.hurt {
			continue
		}
		if now := p.clock(); p.core.Raft().Lease(g).Check(now.Mono, now.SuspendOffset) {
			return true
		}
	}
	return false
}

// maimed reports whether so many seats of a group have no copy any more that no
// majority of them is left.
func (w *World) maimed(g shardmap.GroupID) bool {
	for _, p := range w.nodes {
		if !p.up {
			continue
		}
		r := p.core.Data().Replica(g)
		if r == nil || r.Lease() == nil {
			continue
		}
		seats, live := r.Seats(), 0
		for _, m := range seats {
			if w.node(m.Node).holds(g) != nil {
				live++
			}
		}
		return live <= len(seats)/2
	}
	return false
}

// alone is P1 in global time: where one node carried out an operation, or could do
// so since it has just opened its lease, no other could serve at that instant, not
// even one that is stopped and goes on.
func (w *World) alone(p *process, g shardmap.GroupID) {
	if !p.serves(g) { // opened while it slept, and good for nothing
		return
	}
	for _, o := range w.nodes {
		if o != p && o.up && o.serves(g) {
			w.broke("P1", "at %v nodes %d and %d could both serve group %d", w.now, p.id, o.id, g)
		}
	}
}

// serves reports whether a node would carry out an operation on a group now.
func (p *process) serves(g shardmap.GroupID) bool {
	now := p.clock()
	return p.core.Raft().Lease(g).Check(now.Mono, now.SuspendOffset)
}

// oddVoters is the rule of DESIGN section 3 that groups never have two voters, or
// four: one death would leave no quorum.
func (p *process) oddVoters(g shardmap.GroupID) {
	if p.core == nil || !p.up {
		return
	}
	if st, ok := p.core.Raft().Group(g); ok && !st.Config.Joint() && len(st.Config.Voters)%2 == 0 {
		p.w.broke("P13", "at %v group %d has %d voters", p.w.now, g, len(st.Config.Voters))
	}
}

// covered is invariant 3: a reply leaves only while the lease is good that its
// operation ran under.
func (w *World) covered(p *process, adm shardgroup.Admission) {
	if now := p.clock(); !adm.Lease.Check(now.Mono, now.SuspendOffset) {
		w.broke("P2", "at %v node %d answers without the lease of ballot %v that it worked under", w.now, p.id, adm.Lease.Ballot())
	}
}
