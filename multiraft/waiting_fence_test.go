package multiraft

import (
	"testing"
	"testing/cryptotest"
	"time"
)

// fenceThatWaits elects B, whose FENCE comes to C while the disk of C is still busy with
// the term.
func (s *script) fenceThatWaits() {
	s.steady()
	s.c.saved = s.now + 150*ms
	s.elect(s.b, s.d, s.e)
	s.wait(100*ms, "C has heard of the term, and has a FENCE that waits", func() bool {
		g := s.group(s.c)
		return g.waiting != nil && g.rn.BasicStatus().GetTerm() == g.waiting.ballot.Term
	})
}

// TestAWaitingFenceBelongsToWhoSentIt: a FENCE that waits for a durable term was
// sent by one incarnation. When its sender restarts meanwhile, the ballot must not
// be granted to the new life, which never claimed it and gives nothing back: the
// next leader would wait a whole L for a promise that nobody holds.
func TestAWaitingFenceBelongsToWhoSentIt(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 5, func(s *script) {
		s.fenceThatWaits()
		s.crash(s.b)
		s.sleep(ms)
		s.b.boot(1)
		s.idle()
		s.sleep(200 * ms)
		s.want(s.group(s.c).waiting == nil, "C's disk is slower than planned")
		now := s.b.core.Self()
		granted := s.group(s.c).grantee == now
		at := s.now
		s.cutPair(s.a, s.d, true)
		s.cutPair(s.a, s.b, true)
		s.elect(s.a, s.c, s.e)
		s.wait(2*time.Second, "A serves", func() bool { return s.holder(0) == s.a })
		s.want(!granted, "C granted a ballot of B's former life to its new one, and A waited %v", s.now-at)
	})
	for _, f := range fails {
		t.Error(f)
	}
}

// TestAWaitingFenceOfADeadNodeIsNotGranted: the proof that its sender died (NODE_RELEASE)
// comes while a FENCE waits for a durable term. Granted to the dead, it would be
// a promise that nobody gives back, and the next leader would wait for its end.
func TestAWaitingFenceOfADeadNodeIsNotGranted(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 5, func(s *script) {
		s.fenceThatWaits()
		dead := s.b.core.Self()
		s.crash(s.b)
		s.idle()
		s.c.core.Datagram(s.b.id, NodeReleasePacket(dead), false, s.c.clock())
		s.c.core.Flush(s.c.clock())
		s.sleep(200 * ms)
		s.want(s.group(s.c).waiting == nil, "C's disk is slower than planned")
		s.want(s.group(s.c).grantee != dead, "C granted a ballot to a node that it knows to be dead")
	})
	for _, f := range fails {
		t.Error(f)
	}
}
