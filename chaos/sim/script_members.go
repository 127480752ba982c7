package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// joins lets a blank node join; it plays r.
func (verbs) joins(r role) Step {
	return Step{fmt.Sprint("a blank node joins; it is ", r), func(s *stage) {
		s.target = len(s.nodes) + 1
		s.invite()
		p := s.nodes[len(s.nodes)-1]
		for len(s.cast) <= int(r) {
			s.cast = append(s.cast, p)
		}
		s.cast[r] = p
	}}
}

// learns calls a node r that has a copy and no vote.
func (verbs) learns(r role) Step {
	return Step{fmt.Sprint(r, " is a node that has a copy and no vote"), func(s *stage) {
		st, _ := s.serving().core.Raft().Group(theGroup)
		i := slices.IndexFunc(s.cast, func(p *process) bool {
			return slices.ContainsFunc(st.Config.Learners, func(d multiraft.ReplicaDesc) bool { return d.Node == p.id })
		})
		s.must(i > 0, "script", "nobody learns: %v", st.Config)
		s.cast[i], s.cast[r] = s.cast[r], s.cast[i]
	}}
}

// intend makes operators want something of a node, as one that runs is told.
func (verbs) intend(r role, i meta.Intent) Step {
	return Step{fmt.Sprint(r, " is to be ", i), func(s *stage) {
		s.intend(s.cast[r].id, i)
	}}
}

// intend asks a node that runs, again until it is taken.
func (w *World) intend(n shardmap.NodeID, i meta.Intent) {
	at := slices.IndexFunc(w.nodes, func(p *process) bool { return p.runs() && !p.asking })
	if at < 0 {
		w.after(askEvery, func() { w.intend(n, i) })
		return
	}
	p := w.nodes[at]
	p.core.Intend(n, i, p.clock(), func(a node.Answer) {
		if a.Err != "" {
			w.note("node %d is not to be %v: %s", n, i, a.Err)
			w.after(askEvery, func() { w.intend(n, i) })
		}
	})
	p.flush()
}

// changes waits until the members of the group that a node holds begin to change.
func (verbs) changes(d time.Duration, r role) Step {
	return do.until("P13", d, fmt.Sprint(r, " changes the members of its group"), func(s *stage) bool {
		p := s.cast[r]
		return p.core.Raft().Opened(theGroup) && p.core.Raft().Changing(theGroup, p.clock())
	})
}

// leavesCalm watches that the lease of a node does not leave it in a change of members.
func (verbs) leavesCalm(r role) Step {
	held := false
	return do.watching(fmt.Sprint("the lease leaves ", r, " in no change of members"), func(s *stage) bool {
		p := s.cast[r]
		had := held
		held = p.runs() && p.core.Raft().Opened(theGroup)
		return held || !had || !p.runs() || !p.core.Raft().Changing(theGroup, p.clock())
	})
}

// left waits until a node has left for good.
func (verbs) left(d time.Duration, r role) Step {
	return do.until("P13", d, fmt.Sprint(r, " has left for good"), func(s *stage) bool {
		_, registered := s.registry().Node(s.cast[r].id)
		return s.cast[r].gone && !registered
	})
}

// waitsFor reports whether the holder of group 0 says that copies stay because a node is missed.
func (s *stage) waitsFor(r role) bool {
	row, _ := s.registry().Node(s.cast[r].id)
	return slices.ContainsFunc(s.nodes, func(p *process) bool {
		return p.runs() && slices.ContainsFunc(p.core.NodeStatus(p.clock()).Waiting, func(why string) bool { return strings.Contains(why, row.Name) })
	})
}

// toldAgain delivers a late word that a node is a member, as if what it learned since
// had not come: it makes the replica that it once had, if it may.
func (verbs) toldAgain(r role) Step {
	return Step{fmt.Sprint(r, " hears late that it is a member, under the id it had"), func(s *stage) {
		p := s.cast[r]
		st, have := p.core.Raft().Group(theGroup)
		s.must(!have, "script", "%v still has replica %x", r, st.ReplicaID)
		if p.core.Raft().Join(theGroup, s.once[r], p.clock()) == nil {
			p.core.Data().Join(theGroup, s.once[r], multiraft.RoleVoter)
		}
		p.flush()
	}}
}

// stranger calls a node r that has no replica of the group.
func (verbs) stranger(r role) Step {
	return Step{fmt.Sprint(r, " is a node without a replica"), func(s *stage) {
		i := slices.IndexFunc(s.cast, func(p *process) bool { return p.core.Data().Replica(theGroup) == nil })
		s.must(i > 0, "script", "every node has a replica")
		s.cast[i], s.cast[r] = s.cast[r], s.cast[i]
	}}
}

// reborn makes a node give its replica up and get another one, and its group keep the
// old one as a member: what a holder leaves behind who knew only the old wish.
func (verbs) reborn(r role) Step {
	return Step{fmt.Sprint(r, " has a new replica, and its group has the old one"), func(s *stage) {
		p := s.cast[r]
		p.core.Raft().Destroy(theGroup, p.clock())
		p.core.Data().Drop(theGroup)
		p.flush()
		s.wantAnew(p)
	}}
}

// anew has group 0 want another replica of a node than the one that it has.
func (verbs) anew(r role) Step {
	return Step{fmt.Sprint(r, " is to have another replica"), func(s *stage) {
		p := s.cast[r]
		old, _ := s.registry().Group(theGroup).On(p.id)
		s.wantAnew(p)
		s.must(s.proceed(5*sec, func() bool {
			now, ok := s.registry().Group(theGroup).On(p.id)
			return ok && now.ID != old.ID
		}), "script", "group 0 did not take it")
	}}
}

// wantAnew has group 0 want no replica of a node, and then one again.
func (s *stage) wantAnew(p *process) {
	at := slices.IndexFunc(s.nodes, func(m *process) bool {
		st, _ := m.core.Raft().Group(shardmap.MetaGroup)
		return m.runs() && st.Open
	})
	s.must(at >= 0, "script", "nobody holds group 0")
	m := s.nodes[at]
	st, _ := m.core.Raft().Group(shardmap.MetaGroup)
	g := s.registry().Group(theGroup)
	with := meta.Placement{Group: theGroup, From: g.Version, BudgetBytes: g.BudgetBytes}
	for _, w := range g.Replicas {
		with.Replicas = append(with.Replicas, meta.Wanted{Node: w.Node, Role: w.Role})
	}
	without := with
	without.Replicas = slices.DeleteFunc(slices.Clone(with.Replicas), func(w meta.Wanted) bool { return w.Node == p.id })
	with.From++
	for _, place := range []meta.Placement{without, with} {
		e := meta.Entry{Place: []meta.Placement{place}}
		s.must(m.core.Raft().Propose(shardmap.MetaGroup, st.Lease.Ballot(), e.Encode()), "script", "group 0 takes no placement")
	}
	m.flush()
}

// votesAnew has the holder give a node's vote to the replica that it is to have, as it does
// when a witness is to be a copy or the other way round.
func (verbs) votesAnew(r role) Step {
	return Step{fmt.Sprint("the vote of ", r, " goes to the replica that it is to have"), func(s *stage) {
		p, heir := s.giveVote(r)
		s.must(s.proceed(5*sec, func() bool {
			st, _ := p.core.Raft().Group(theGroup)
			_, votes := st.Config.Find(heir)
			return votes && !st.Config.Joint()
		}), "script", "the group did not take it")
	}}
}

// triesAnew is votesAnew where the holder may find that it is not the time.
func (verbs) triesAnew(r role) Step {
	return Step{fmt.Sprint("the vote of ", r, " would go to the replica that it is to have"), func(s *stage) { s.giveVote(r) }}
}

// giveVote asks the holder to let the wanted replica of a node vote instead of the one that
// it has.
func (s *stage) giveVote(r role) (holder *process, heir uint64) {
	p, n := s.serving(), s.cast[r].id
	s.must(p != nil, "script", "nobody holds the group")
	want, ok := s.registry().Group(theGroup).On(n)
	s.must(ok, "script", "no replica of %v is wanted", r)
	d := multiraft.MakeReplica(want.ID, n, multiraft.Role(want.Role))
	st, _ := p.core.Raft().Group(theGroup)
	members := slices.DeleteFunc(slices.Clone(st.Config.Voters), func(v multiraft.ReplicaDesc) bool { return v.Node == n })
	p.core.Raft().Reconfigure(st, append(members, d), p.clock())
	p.flush()
	return p, d.ID
}

// votes waits until the replica that a node has is a voter.
func (verbs) votes(d time.Duration, r role) Step {
	return do.until("P13", d, fmt.Sprint("the replica of ", r, " is a voter"), func(s *stage) bool {
		p := s.serving()
		if p == nil {
			return false
		}
		st, _ := p.core.Raft().Group(theGroup)
		own := s.cast[r].core.Raft().Own(theGroup)
		return own != 0 && !st.Config.Joint() && slices.ContainsFunc(st.Config.Voters, func(v multiraft.ReplicaDesc) bool { return v.ID == own })
	})
}

// remember notes the replica that a node has.
func (verbs) remember(r role) Step {
	return Step{fmt.Sprint("the replica of ", r, " is remembered"), func(s *stage) {
		st, have := s.cast[r].core.Raft().Group(theGroup)
		s.must(have, "script", "%v has no replica", r)
		if s.once == nil {
			s.once = map[role]uint64{}
		}
		s.once[r] = st.ReplicaID
	}}
}

// bare waits until a node has no replica of the group.
func (verbs) bare(d time.Duration, r role) Step {
	return do.until("P13", d, fmt.Sprint(r, " has no replica"), func(s *stage) bool {
		_, have := s.cast[r].core.Raft().Group(theGroup)
		return !have
	})
}

// losesDisk ends a node for good.
func (verbs) losesDisk(r role) Step {
	return Step{fmt.Sprint(r, " is killed and its disk is lost"), func(s *stage) {
		p := s.cast[r]
		if p.up {
			p.crash()
		}
		p.gone = true
	}}
}

// voters waits until the group's voters are those that these roles play.
func (verbs) voters(d time.Duration, roles ...role) Step {
	return do.until("P13", d, fmt.Sprint("the voters are ", roles), func(s *stage) bool {
		p := s.serving()
		if p == nil {
			return false
		}
		st, _ := p.core.Raft().Group(theGroup)
		var want, have []shardmap.NodeID
		for _, r := range roles {
			want = append(want, s.cast[r].id)
		}
		for _, v := range st.Config.Voters {
			have = append(have, v.Node)
		}
		slices.Sort(want)
		slices.Sort(have)
		return !st.Config.Joint() && slices.Equal(want, have)
	})
}

// holdsMeta hands group 0 to the last node of its configuration, and calls it r.
func (verbs) holdsMeta(d time.Duration, r role) Step {
	return Step{fmt.Sprint(r, " holds group 0, and is the last of its voters"), func(s *stage) {
		voters := s.registry().Group(shardmap.MetaGroup).Replicas
		last := voters[len(voters)-1].Node
		i := slices.IndexFunc(s.cast, func(p *process) bool { return p.id == last })
		s.cast[i], s.cast[r] = s.cast[r], s.cast[i]
		s.must(s.proceed(d, func() bool {
			for _, p := range s.cast {
				st, _ := p.core.Raft().Group(shardmap.MetaGroup)
				if st.Open && p.id == last {
					return true
				}
				if st.Open && p.core.Raft().Handover(shardmap.MetaGroup, last, p.clock()) {
					p.flush()
				}
			}
			return false
		}), "script", "%v does not get group 0", r)
	}}
}

// metaVoters waits until group 0 has so many voters, and no others on their way.
func (verbs) metaVoters(d time.Duration, n int) Step {
	return do.until("P13", d, fmt.Sprint("group 0 has ", n, " voters"), func(s *stage) bool {
		return slices.ContainsFunc(s.cast, func(p *process) bool {
			if !p.runs() {
				return false
			}
			st, _ := p.core.Raft().Group(shardmap.MetaGroup)
			return st.Leads && !st.Config.Joint() && len(st.Config.Voters) == n
		})
	})
}

// suspend lets a node's machine sleep.
func (verbs) suspend(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("the machine of %v sleeps for %v", r, d), func(s *stage) { s.World.sleep(s.cast[r], d) }}
}
