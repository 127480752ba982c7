package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
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

// suspend lets a node's machine sleep.
func (verbs) suspend(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("the machine of %v sleeps for %v", r, d), func(s *stage) { s.World.sleep(s.cast[r], d) }}
}
