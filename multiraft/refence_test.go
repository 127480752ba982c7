package multiraft

import (
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

// TestAFenceWaitsForWhatItsLeaderProposed: a leader that closes its claim and fences again
// in the same term may have an entry under way that it proposed under the first
// ballot. What the data plane collects for the second one must come after it: an
// Open of the first ballot that is applied in the middle changes what positions mean.
func TestAFenceWaitsForWhatItsLeaderProposed(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		s.steady()
		s.rule = func(m *testMessage) verdict {
			if m.kind == "raft" && m.from == s.a.id {
				return keep
			}
			return pass
		}
		first := s.a.core.Lease(0).Ballot()
		s.want(s.a.core.Propose(0, first, []byte("of the first ballot")), "not proposed")
		s.a.core.Flush(s.a.clock())
		s.sleep(20 * ms)
		s.a.core.Release(0, "test", s.a.clock())
		s.a.core.Flush(s.a.clock())
		s.sleep(200 * ms)
		g := s.group(s.a)
		s.want(g.leads(), "A does not lead any more")
		s.want(g.claim == nil, "A fences under %v before it has applied what it proposed under %v", g.lastClaim, first)
		s.rule = nil
		s.deliverKept(func(*testMessage) bool { return true })
		s.wait(time.Second, "somebody serves", func() bool { return s.holder(0) != nil })
		s.want(slices.Contains(s.a.log[0], "of the first ballot"), "the entry is lost: %q", s.a.log[0])
	})
	for _, f := range fails {
		t.Error(f)
	}
}

// TestADeposedLeaderFencesAtAPace: raft at A does not hear of the newer term, while
// every voter refuses its fences for it, at once. It fenced again with each event.
func TestADeposedLeaderFencesAtAPace(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		s.steady()
		s.rule = when(drop, is(nil, s.a, "raft", "fence"))
		s.elect(s.b, s.c)
		s.wait(100*ms, "B fences in a newer term", func() bool { return s.group(s.b).claim != nil })
		s.sleep(5 * ms) // C has heard of it
		before, ballot := s.a.fences, s.group(s.a).lastClaim
		s.a.core.Release(0, "test", s.a.clock())
		s.a.core.Flush(s.a.clock())
		for range 500 {
			s.sleep(ms)
			s.a.core.Tick(s.a.clock()) // as hosts do with every event
			s.a.core.Flush(s.a.clock())
		}
		again := s.a.fences - before
		s.want(s.group(s.a).leads() && s.group(s.a).lastClaim.Term == ballot.Term, "A heard of the newer term")
		s.want(again >= 2 && again <= 6, "A fenced %d times in 500ms", again)
		s.settled()
	})
	for _, f := range fails {
		t.Error(f)
	}
}
