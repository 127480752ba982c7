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

// leaves stops a node as SIGTERM does; nothing starts it again.
func (verbs) leaves(r role) Step {
	return Step{fmt.Sprint(r, " leaves"), func(s *stage) {
		p := s.node(r)
		p.core.Drain(p.clock())
		p.flush()
		s.must(s.proceed(drainMax, func() bool { return p.core.Drained() }), "P13", "%v is not drained within %v", r, drainMax)
		p.core.Leave(p.clock())
		p.flush()
		s.proceed(10*ms, nil)
		p.crash()
	}}
}

// suspend lets a node's machine sleep.
func (verbs) suspend(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("the machine of %v sleeps for %v", r, d), func(s *stage) { s.World.sleep(s.cast[r], d) }}
}

// clocks gives a machine's clocks a rate, and MONOTONIC one on top.
func (verbs) clocks(r role, rate, slew float64) Step {
	return Step{fmt.Sprintf("the clocks of %v run at %v, MONOTONIC at %v of that", r, rate, slew), func(s *stage) {
		c := &s.cast[r].clocks
		c.fold(s.now)
		c.rate, c.slew = rate, slew
	}}
}

// diskFails lets a node's disk refuse to write, or go on.
func (verbs) diskFails(r role, on bool) Step {
	word := map[bool]string{true: "fails", false: "works again"}[on]
	return Step{fmt.Sprint("the disk of ", r, " ", word), func(s *stage) {
		var err error
		if on {
			err = errDisk
		}
		s.cast[r].disk.Fail(err)
	}}
}

// stalls makes a node's disk slow.
func (verbs) stalls(r role, d time.Duration) Step {
	return Step{fmt.Sprintf("a batch of %v may take %v longer", r, d), func(s *stage) { s.cast[r].drive.stall = d }}
}

// ended waits until a process has ended by itself.
func (verbs) stopped(d time.Duration, r role) Step {
	return do.until("P13", d, fmt.Sprint(r, " has ended"), func(s *stage) bool { return !s.cast[r].up })
}

// rumours says false things about everybody to everybody for a while.
func (verbs) rumours(d time.Duration) Step {
	return Step{fmt.Sprintf("gossip lies for %v", d), func(s *stage) {
		for end := s.now + d; s.now < end; {
			s.rumour()
			s.proceed(5*ms, nil)
		}
	}}
}

// nodeRelease is the proof that a former life of a node is over, which its parent
// gives to everybody.
func (verbs) nodeRelease(r role, inc uint64) Step {
	return Step{fmt.Sprintf("the parent of %v says that life %d is over", r, inc), func(s *stage) {
		p := s.cast[r]
		m := multiraft.Member{Node: p.id, Inc: multiraft.Incarnation{Counter: inc}}
		for _, o := range s.nodes {
			if o != p && o.runs() {
				o.core.Datagram(p.id, multiraft.NodeReleasePacket(m), false, o.clock())
				o.flush()
			}
		}
	}}
}
