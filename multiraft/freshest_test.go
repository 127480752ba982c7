package multiraft

import (
	"testing"
	"testing/cryptotest"
	"time"
)

// TestTheFreshestCampaignsFirst: preference says B, but B's copy lacks something, so
// C is elected, and the group is served as soon as A's promises are over.
func TestTheFreshestCampaignsFirst(t *testing.T) {
	for _, behind := range []bool{false, true} {
		cryptotest.SetGlobalRandom(t, 1)
		fails, _ := play(t, 3, func(s *script) {
			s.steady()
			s.b.core.SetRank(0, 0)
			s.c.core.SetRank(0, 1)
			s.b.behind = behind
			s.crash(s.a)
			at := s.now
			s.wait(2*time.Second, "somebody serves", func() bool { return s.holder(0) != nil })
			heir := map[bool]*testNode{false: s.b, true: s.c}[behind]
			s.want(s.holder(0) == heir, "B is behind: %v, and node %d serves", behind, s.holder(0).id)
			s.want(s.now-at < 800*ms, "served after %v", s.now-at)
		})
		for _, f := range fails {
			t.Error(f)
		}
	}
}

// TestTheMiddleClockIsRight: one clock of three that is off is known by all, itself
// included; of two clocks nobody can say which one is wrong.
func TestTheMiddleClockIsRight(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		s.steady()
		s.b.wall = 10 * time.Second
		s.sleep(500 * ms)
		for _, n := range []*testNode{s.a, s.b, s.c} {
			for m, want := range map[*testNode]time.Duration{s.a: 0, s.b: 10 * time.Second, s.c: 0} {
				if got := n.core.ClockError(m.id, n.clock()); (got - want).Abs() > 200*ms {
					s.want(false, "node %d takes the clock of node %d to be off by %v, it is by %v", n.id, m.id, got, want)
				}
			}
		}
		s.crash(s.c)
		s.sleep(3 * time.Second)
		for _, n := range []*testNode{s.a, s.b} {
			s.want(n.core.ClockError(s.b.id, n.clock()) == 0, "node %d takes sides between two clocks", n.id)
		}
	})
	for _, f := range fails {
		t.Error(f)
	}
}
