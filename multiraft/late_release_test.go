package multiraft

import (
	"testing"
	"testing/cryptotest"
	"time"
)

// TestALateReleaseOfAnEarlierBallotSuspectsNobody: every RELEASE travels twice, by
// stream and by packet. The second copy of (T,1), which comes when A serves under
// (T,2), says nothing about A's lease.
func TestALateReleaseOfAnEarlierBallotSuspectsNobody(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		s.steady()
		s.rule = func(m *testMessage) verdict {
			if m.kind == "release" && m.datagram {
				return keep
			}
			return pass
		}
		s.a.core.Release(0, "test", s.a.clock())
		s.a.core.Flush(s.a.clock())
		s.wait(300*ms, "A serves again", func() bool { return s.holder(0) == s.a })
		s.sleep(500 * ms)
		s.want(s.holder(0) == s.a, "A does not serve")
		l := s.a.core.Lease(0)
		s.rule = nil
		s.idle(s.b, s.c)
		s.want(s.deliverKept(func(*testMessage) bool { return true }) > 0, "no RELEASE was kept")
		s.sleep(time.Second)
		s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "a copy of an old RELEASE cost A its lease under %v", l.Ballot())
	})
	for _, f := range fails {
		t.Error(f)
	}
}
