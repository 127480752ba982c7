package multiraft

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

var confSchedules = []schedule{
	{"19 the holder pauses in a change of voters", 4, pausesInChange},
	{"20 the leader dies in a joint configuration", 4, diesInJoint},
	{"nobody leaves a joint configuration", 4, nobodyLeavesJoint},
	{"21 one voter grows to three and is cut off", 3, cutOffWhileGrowing},
	{"21 one voter grew to three and is cut off afterwards", 3, cutOffAfterGrowing},
	{"a lease moves right behind a change of members", 4, movesBehindChange},
	{"22 a replica is made anew on its node", 3, replicaMadeAnew},
	{"a lost snapshot does not leave a joiner behind", 3, lostSnapshot},
}

func replica(number uint64, n *testNode, r Role) ReplicaDesc { return MakeReplica(number, n.id, r) }

// fresh starts every node anew with a group of the given members, led by A.
func (s *script) fresh(members ...*testNode) (rs []ReplicaDesc) {
	s.wires, s.top, s.owner = nil, map[shardmap.GroupID]Ballot{}, map[string]Member{}
	for i, n := range s.nodes {
		n.disk = NewMemoryStorage([16]byte{byte(i + 1), 9})
		n.boot(1)
	}
	for _, n := range members {
		rs = append(rs, replica(uint64(n.id), n, RoleVoter))
	}
	for i, n := range members {
		if err := n.core.Create(0, rs, rs[i].ID, n.clock()); err != nil {
			s.tb.Fatal(err)
		}
		n.core.Flush(n.clock())
	}
	s.steady()
	return rs
}

func (s *script) reconfigure(n *testNode, target []ReplicaDesc) bool {
	st, _ := n.core.Group(0)
	done := n.core.Reconfigure(st, target, n.clock())
	n.core.Flush(n.clock())
	return done
}

func (s *script) join(n *testNode, d ReplicaDesc) {
	if err := n.core.Join(0, d.ID, n.clock()); err != nil {
		s.tb.Fatal(err)
	}
	n.core.Flush(n.clock())
}

// toJoint brings {A,B,C} with learner D to the brink of {A,B,C} -> {B,C,D}.
func (s *script) toJoint() (target []ReplicaDesc) {
	rs := s.fresh(s.a, s.b, s.c)
	d := replica(4, s.d, RoleLearner)
	s.join(s.d, d)
	with := append(rs[:3:3], d)
	s.wait(2*time.Second, "D is a learner", func() bool { return s.reconfigure(s.a, with) })
	s.sleep(300 * ms)
	d.Role = RoleVoter
	return append(rs[1:3:3], d)
}

func (s *script) conf(n *testNode) GroupConfig { return s.group(n).conf }

func pausesInChange(s *script) {
	for _, stage := range []time.Duration{0, 100, 200, 400, 800, 1500, 3000, 6000} {
		for _, leave := range []bool{false, true} {
			target := s.toJoint()
			s.reconfigure(s.a, target)
			if leave {
				s.wait(time.Second, "joint", func() bool { return s.conf(s.a).Joint() })
				s.reconfigure(s.a, target)
			}
			s.sleep(stage * time.Microsecond)
			s.pause(s.a)
			s.idle(s.b, s.c)
			s.wait(3*time.Second, "B or C serves", func() bool { return s.holder(0) != nil })
			s.resume(s.a)
			s.sleep(500 * ms)
			s.settled()
			s.wait(5*time.Second, "the change is finished", func() bool {
				n := s.holder(0)
				if n == nil || n == s.a {
					return s.moveOff(n)
				}
				return s.reconfigure(n, target)
			})
		}
	}
}

// moveOff hands the lease on when A holds it and must go.
func (s *script) moveOff(n *testNode) bool {
	if n == s.a {
		n.core.Handover(0, s.b.id, n.clock())
		n.core.Flush(n.clock())
		s.sleep(50 * ms)
	}
	return false
}

// movesBehindChange hands the lease to B at every moment around a change that B has yet
// to apply: raft lets nobody campaign who knows of one that it has not applied, and B
// must not forget that it was asked.
func movesBehindChange(s *script) {
	for stage := time.Duration(0); stage < 16*ms; stage += 250 * time.Microsecond {
		s.write = 0
		rs := s.fresh(s.a, s.b, s.c)
		d := replica(4, s.d, RoleLearner)
		s.join(s.d, d)
		s.write = 3 * ms
		s.reconfigure(s.a, append(rs[:3:3], d))
		s.sleep(stage)
		s.want(s.a.core.Handover(0, s.b.id, s.a.clock()), "the move is refused")
		s.a.core.Flush(s.a.clock())
		s.wait(transferAbort-10*ms, fmt.Sprintf("B serves, asked %v behind the change", stage), func() bool { return s.holder(0) == s.b })
	}
}

func diesInJoint(s *script) {
	target := s.toJoint()
	s.want(!s.reconfigure(s.a, target), "done at once")
	s.wait(time.Second, "joint on B", func() bool { return s.conf(s.b).Joint() })
	s.crash(s.a)
	s.elect(s.b, s.c, s.d)
	for range 40 {
		s.sleep(10 * ms)
		s.want(s.conf(s.b).Joint(), "joint was left by nobody that holds")
		s.reconfigure(s.b, target)
	}
	s.wait(time.Second, "B serves", func() bool { return s.holder(0) == s.b })
	s.wait(3*time.Second, "B leaves joint", func() bool { return s.reconfigure(s.b, target) })
	s.want(len(s.conf(s.b).Voters) == 3 && !s.conf(s.b).Joint(), "voters are %v", s.conf(s.b))
}

// nobodyLeavesJoint: a change that is not finished is said after ten seconds, once.
func nobodyLeavesJoint(s *script) {
	target := s.toJoint()
	s.reconfigure(s.a, target)
	s.wait(time.Second, "joint", func() bool { return s.conf(s.a).Joint() })
	s.sleep(jointMax - time.Second)
	s.want(s.a.stuck == 0, "A complains after %v", jointMax-time.Second)
	s.sleep(3 * time.Second)
	s.want(s.conf(s.a).Joint() && s.a.stuck == 1, "A complained %d times", s.a.stuck)
}

func cutOffWhileGrowing(s *script) {
	target := s.readyToGrow()
	s.wait(time.Second, "joint", func() bool { s.reconfigure(s.a, target); return s.conf(s.a).Joint() })
	s.isolate(s.a, true)
	at := s.now
	s.wait(700*ms, "A stops", func() bool { return s.holder(0) == nil })
	s.want(s.now-at < 610*ms, "A served for %v after the cut", s.now-at)
	s.idle(s.b, s.c)
	s.sleep(3 * time.Second)
	s.want(s.holder(0) == nil, "a minority of the old voters elected")
	s.settled()
}

// readyToGrow is A alone with B and C as learners; target makes voters of them.
func (s *script) readyToGrow() (target []ReplicaDesc) {
	one := s.fresh(s.a)
	b, c := replica(2, s.b, RoleLearner), replica(3, s.c, RoleLearner)
	s.join(s.b, b)
	s.join(s.c, c)
	learners := []ReplicaDesc{one[0], b, c}
	s.wait(3*time.Second, "learners", func() bool { return s.reconfigure(s.a, learners) })
	s.sleep(300 * ms)
	b.Role, c.Role = RoleVoter, RoleVoter
	return []ReplicaDesc{one[0], b, c}
}

// cutOffAfterGrowing takes the two new voters away: the lease that A had when it
// was alone must have ended with the change.
func cutOffAfterGrowing(s *script) {
	target := s.readyToGrow()
	s.wait(3*time.Second, "three voters", func() bool { return s.reconfigure(s.a, target) })
	s.sleep(300 * ms)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	s.wait(900*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

func replicaMadeAnew(s *script) {
	rs := s.fresh(s.a, s.b, s.c)
	s.wait(3*time.Second, "two voters", func() bool { return s.reconfigure(s.a, rs[:2]) })
	s.c.core.Destroy(0, s.c.clock())
	s.c.core.Flush(s.c.clock())
	if s.c.core.Join(0, rs[2].ID, s.c.clock()) == nil {
		s.want(false, "a removed replica came back")
	}
	again := replica(4, s.c, RoleLearner)
	s.join(s.c, again)
	if s.group(s.c).grantee.Node != s.a.id && len(s.group(s.c).owed) == 0 {
		s.want(false, "the node forgot what its former replica promised")
	}
	s.wait(3*time.Second, "a learner again", func() bool { return s.reconfigure(s.a, append(rs[:2:2], again)) })
	s.sleep(300 * ms)
	again.Role = RoleVoter
	s.wait(3*time.Second, "three voters", func() bool { return s.reconfigure(s.a, append(rs[:2:2], again)) })
	s.sleep(200 * ms)
	s.crash(s.b)
	for range 10 {
		s.sleep(100 * ms)
		s.want(s.holder(0) == s.a, "A does not live by the new replica's promise")
	}
}

func lostSnapshot(s *script) {
	one := s.fresh(s.a)
	b := replica(2, s.b, RoleLearner)
	s.join(s.b, b)
	lost := 0
	s.rule = func(m *testMessage) verdict {
		if m.kind == "raft" && m.raft.String() == "MsgSnap" && lost < 3 {
			lost++
			return drop
		}
		return pass
	}
	s.wait(3*time.Second, "the learner is added", func() bool { return s.reconfigure(s.a, []ReplicaDesc{one[0], b}) })
	s.wait(3*time.Second, "the joiner is filled", func() bool { return len(s.conf(s.b).Voters) == 1 })
	s.want(lost > 0, "no snapshot was sent")
}
