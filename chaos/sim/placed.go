package sim

import (
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// registry is group 0's newest state that a running node has.
func (w *World) registry() (s *meta.State) {
	for _, p := range w.nodes {
		if p.up && p.core.Meta() != nil && (s == nil || p.core.Meta().Version > s.Version) {
			s = p.core.Meta()
		}
	}
	return s
}

// misplaced says what is not where group 0 wants it: a group's configuration, its
// seats, or a replica that nobody wants. What a node held that is gone for good stays
// wanted there, and until somebody replaces it the others stay where they are.
func (w *World) misplaced(g shardmap.GroupID) string {
	want := w.registry().Group(g)
	for _, p := range w.nodes {
		if !p.up || p.hurt {
			continue
		}
		st, have := p.core.Raft().Group(g)
		if _, wanted := want.On(p.id); !w.lost(want) && have != wanted {
			return fmt.Sprintf("node %d holds replica %x of group %d, wanted there: %v", p.id, st.ReplicaID, g, wanted)
		}
		now := p.clock()
		if !have || !st.Lease.Check(now.Mono, now.SuspendOffset) {
			continue
		}
		if g != shardmap.MetaGroup && slices.ContainsFunc(p.core.Data().Replica(g).Seats(), func(m multiraft.Member) bool { return w.absent(m.Node) }) {
			continue // a seat that nobody else can have yet may hold the rest up
		}
		if why := w.unlike(st.Config, want); why != "" {
			return fmt.Sprintf("group %d at node %d: %s", g, p.id, why)
		}
		if g != shardmap.MetaGroup {
			if why := w.unseated(g, p.core.Data().Replica(g).Seats(), want); why != "" {
				return fmt.Sprintf("group %d at node %d: %s", g, p.id, why)
			}
		}
	}
	return ""
}

// lost reports whether some replica is wanted at a node that is gone or broken for
// good.
func (w *World) lost(want meta.Group) bool {
	return slices.ContainsFunc(want.Replicas, func(r meta.Replica) bool { return w.absent(r.Node) })
}

func (w *World) absent(n shardmap.NodeID) bool { return w.node(n).gone || w.node(n).hurt }

// unlike says what keeps a configuration from being the wanted one.
func (w *World) unlike(c multiraft.GroupConfig, want meta.Group) string {
	if c.Joint() {
		return "it is between two voter sets"
	}
	if w.lost(want) {
		return ""
	}
	if n := len(c.Voters) + len(c.Learners); n != len(want.Replicas) {
		return fmt.Sprintf("%d replicas, %d are wanted", n, len(want.Replicas))
	}
	for _, r := range want.Replicas {
		d, ok := c.On(r.Node)
		if !ok || (d.Role == multiraft.RoleLearner) != (r.Role == meta.Learner) {
			return fmt.Sprintf("replica %d on node %d is not what it should be: %v", r.ID, r.Node, d)
		}
	}
	return ""
}

// unseated says whose seat does not count: each is to be of the life that its node
// has now, and all copies are to have one once there are three voters.
func (w *World) unseated(g shardmap.GroupID, seats []multiraft.Member, want meta.Group) string {
	for _, m := range seats {
		o := w.node(m.Node)
		if w.lost(want) && o.holds(g) == nil {
			continue // a witness took it when no copy was left, and nobody can take its place
		}
		if o.up && !o.hurt && o.core.Data().Member() != m {
			return fmt.Sprintf("the seat of node %d is of life %d, not %d", m.Node, m.Inc.Counter, o.core.Data().Member().Inc.Counter)
		}
	}
	if w.lost(want) {
		return ""
	}
	voters, copies := 0, 0
	for _, r := range want.Replicas {
		if r.Role != meta.Learner {
			voters++
		}
		if r.HoldsData() {
			copies++
		}
	}
	if voters < 3 {
		copies = 1 // the holder's: one death would leave no quorum of two
	}
	if len(seats) != copies {
		return fmt.Sprintf("%d seats, not %d", len(seats), copies)
	}
	return ""
}

// inExchange reports whether a group stands until a lost disk comes back or an operator
// says otherwise (multiraft/DESIGN.md, Known): it is between two voter sets in which one
// node has a replica each, which it can only have one of, and another voter is lost.
func (w *World) inExchange(g shardmap.GroupID) bool {
	var conf multiraft.GroupConfig
	for _, p := range w.nodes {
		if st, have := p.group(g); have && st.Config.Index >= conf.Index {
			conf = st.Config
		}
	}
	twice := slices.ContainsFunc(conf.Outgoing, func(o multiraft.ReplicaDesc) bool {
		return slices.ContainsFunc(conf.Voters, func(v multiraft.ReplicaDesc) bool { return v.Node == o.Node && v.ID != o.ID })
	})
	if !twice {
		return false
	}
	for _, set := range [...][]multiraft.ReplicaDesc{conf.Voters, conf.Outgoing} {
		there := 0
		for _, d := range set {
			if p := w.node(d.Node); p.up && !p.hurt && p.core.Raft().Own(g) == d.ID {
				there++
			}
		}
		if 2*there <= len(set) {
			return true
		}
	}
	return false
}

// group is what a running node has of a group.
func (p *process) group(g shardmap.GroupID) (st multiraft.GroupStatus, have bool) {
	if !p.up {
		return st, false
	}
	return p.core.Raft().Group(g)
}

// standsOnMissed reports whether a group is to be at a node that is away for good.
func (w *World) standsOnMissed(id shardmap.GroupID) bool {
	return slices.ContainsFunc(w.registry().Group(id).Replicas, func(r meta.Replica) bool { return w.missed(w.node(r.Node)) })
}

// describe notes what every node holds of every group that is not as it should be.
func (w *World) describe() {
	for g := range w.cfg.Groups + 1 {
		id := shardmap.GroupID(g)
		if w.misplaced(id) == "" && (id == shardmap.MetaGroup || w.restless(id) == "") && !w.standsOnMissed(id) {
			continue
		}
		w.note("group %d: wanted %v", id, w.registry().Group(id).Replicas)
		for _, p := range w.nodes {
			if !p.up {
				w.note("  node %d: gone %v, asking %v", p.id, p.gone, p.asking)
				continue
			}
			st, have := p.core.Raft().Group(id)
			if !have {
				continue
			}
			now := p.clock()
			w.note("  node %d, life %d: replica %d, term %d, leads %v, leader %d, applied %d, lease %v, voters %v, outgoing %v, learners %v",
				p.id, p.core.Self().Inc.Counter, uint32(st.ReplicaID), st.Term, st.Leads, st.Leader, st.Applied,
				st.Lease.Check(now.Mono, now.SuspendOffset), st.Config.Voters, st.Config.Outgoing, st.Config.Learners)
			if r := p.core.Data().Replica(id); r != nil {
				rs := r.Status(now)
				w.note("    %v, promised %v, epoch %d of node %d, seats %v, shards %+v, followers %+v", rs.Phase, rs.Promised, rs.Epoch, rs.Holder, rs.Seats, rs.Shards, rs.Followers)
			}
		}
	}
}
