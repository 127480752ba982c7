package multiraft

import (
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

// regenerate lets a node go on alone, and says what it found in its log unapplied.
func (s *script) regenerate(n *testNode, generation uint64, learners ...ReplicaDesc) (tail []string, err error) {
	err = n.core.Regenerate(0, generation, learners, func(entries [][]byte) ([]byte, error) {
		for _, e := range entries {
			tail = append(tail, string(e))
		}
		return []byte("state"), nil
	}, n.clock())
	n.core.Flush(n.clock())
	return tail, err
}

// TestAGroupGoesOnWithoutItsMajority: the survivor serves alone, above everything that
// was; and a node of those left behind that comes back neither hears of the new terms nor
// takes part in them.
func TestAGroupGoesOnWithoutItsMajority(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, overlaps := play(t, 3, func(s *script) {
		s.steady()
		s.pause(s.a)
		s.pause(s.b)
		s.sleep(11 * time.Second)
		s.want(s.holder(0) == nil, "somebody serves without a majority")
		_, err := s.regenerate(s.c, 1)
		s.want(err == nil, "C does not go on: %v", err)
		s.wait(2*time.Second, "C serves", func() bool { return s.holder(0) == s.c })
		g := s.group(s.c)
		term := g.term
		s.want(term>>40 == 1 && g.log.applied>>40 == 1 && s.c.core.Lease(0).Ballot().Term == term, "term %d, index %d", term, g.log.applied)
		s.resume(s.b)
		s.idle(s.b)
		s.sleep(3 * time.Second)
		s.want(s.holder(0) == s.c && g.term == term, "B, which was left behind, disturbed C: term %d after %d", g.term, term)
		s.want(s.group(s.b).term>>40 == 0, "B heard of the new terms: %d", s.group(s.b).term)
		s.crash(s.c)
		s.c.boot(1)
		s.wait(5*time.Second, "C serves after a restart", func() bool { return s.holder(0) == s.c })
		s.want(s.group(s.b).term>>40 == 0, "B heard of the new terms: %d", s.group(s.b).term)
	})
	report(t, fails, overlaps)
}

// TestTheOtherSurvivorsFollow: of four voters two are left; one goes on and the other
// learns of it from raft itself, with all that the first one had.
func TestTheOtherSurvivorsFollow(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2)
	fails, overlaps := play(t, 5, func(s *script) {
		s.steady()
		for _, n := range []*testNode{s.a, s.b, s.e} {
			s.pause(n)
		}
		s.sleep(11 * time.Second)
		other, _ := s.group(s.c).conf.On(s.d.id)
		_, err := s.regenerate(s.c, 1, other)
		s.want(err == nil, "C does not go on: %v", err)
		s.wait(2*time.Second, "C serves", func() bool { return s.holder(0) == s.c })
		s.wait(2*time.Second, "D follows", func() bool {
			g := s.group(s.d)
			return g.generation == 1 && len(g.conf.Voters) == 1 && len(g.conf.Learners) == 1
		})
	})
	report(t, fails, overlaps)
}

// TestWhatWasNotAppliedIsTakenAsCommitted: an entry that only the survivor has may have
// been committed by a leader that cannot say so any more.
func TestWhatWasNotAppliedIsTakenAsCommitted(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 3)
	fails, overlaps := play(t, 3, func(s *script) {
		s.steady()
		s.rule = when(drop, is(s.b, nil, "raft"), is(s.c, nil, "raft"))
		s.want(s.a.core.Propose(0, s.a.core.Lease(0).Ballot(), []byte("under way")), "not proposed")
		s.a.core.Flush(s.a.clock())
		s.sleep(20 * ms)
		s.pause(s.a)
		s.pause(s.b)
		s.sleep(11 * time.Second)
		s.rule = nil
		tail, err := s.regenerate(s.c, 1)
		s.want(err == nil && slices.Contains(tail, "under way"), "C goes on without what may have been committed: %q, %v", tail, err)
	})
	report(t, fails, overlaps)
}

func TestAGenerationIsNotBegunTwice(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 4)
	fails, overlaps := play(t, 3, func(s *script) {
		s.steady()
		s.pause(s.a)
		s.pause(s.b)
		s.sleep(11 * time.Second)
		for _, generation := range []uint64{0, GenerationMax + 1} {
			_, err := s.regenerate(s.c, generation)
			s.want(err != nil, "generation %d was begun", generation)
		}
		_, err := s.regenerate(s.c, 2)
		s.want(err == nil, "%v", err)
		for _, generation := range []uint64{1, 2} {
			_, err := s.regenerate(s.c, generation)
			s.want(err != nil, "generation %d was begun after 2", generation)
		}
		s.wait(2*time.Second, "C serves", func() bool { return s.holder(0) == s.c })
	})
	report(t, fails, overlaps)
}

func report(t *testing.T, fails, overlaps []string) {
	t.Helper()
	for _, f := range append(fails, overlaps...) {
		t.Error(f)
	}
}
