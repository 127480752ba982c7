package multiraft

import "time"

// The schedules of lease-protocol section 11, by number. Those that need several
// threads are in lease_test.go, those that change configurations in schedule_conf_test.go.
var schedules = append([]schedule{
	{"01 the holder is cut off and both others campaign", 3, cutOffHolder},
	{"02 ACKs are delayed by almost L", 3, lateAcks},
	{"03 a second holder dies before it opened", 5, chainOfFences},
	{"04 an ACK from before a release", 3, ackFromBeforeRelease},
	{"05 an ACK of a former life", 3, ackOfFormerLife},
	{"06 a transfer is aborted and its TimeoutNow comes late", 3, lateTimeoutNow},
	{"07 RELEASE of the ballot before", 3, lateRelease},
	{"08 FENCE after its RELEASE", 3, fenceAfterRelease},
	{"09 a voter restarts after an ACK", 3, voterRestarts},
	{"10 a fenced voter restarts and hears the old FENCE", 5, oldFenceAfterRestart},
	{"11 the whole cluster restarts", 3, wholeClusterRestarts},
	{"12 a voter restarts under a healthy holder", 3, voterRestartsUnderHolder},
	{"13 a late proof of death of the life before", 3, lateNodeRelease},
	{"14 a proof of death 10 s late", 3, veryLateNodeRelease},
	{"15 the holder sleeps between apply and flush", 3, holderSleeps},
	{"16 the holder sleeps between heartbeat and ACK", 3, holderSleepsBeforeAck},
	{"17 a voter sleeps for 10 L", 3, voterSleeps},
	{"18 drift and slew at their bounds", 3, drifting},
	{"23 UDP blocked everywhere", 3, udpBlocked},
	{"23 UDP blocked one way", 3, udpOneWay},
	{"23 TCP blocked", 3, tcpBlocked},
	{"24 L is raised on one node, then another", 3, longerPromise},
	{"26 a request crosses a release", 3, requestAcrossRelease},
	{"27 the gate passes but Open commits under the next leader", 3, openCommittedLater},
	{"28 heartbeats arrive, ACKs are lost", 3, acksLost},
	{"RELEASE overtakes its FENCE", 3, releaseBeforeFence},
	{"a fenced holder stops at once", 3, fencedHolder},
	{"a released lease is closed before others hear of it", 3, releaseCloses},
	{"a HB and a FENCE at the same instant", 3, beatBesideFence},
	{"a node that hears nothing campaigns for ever", 3, deafNode},
	{"a starved node suspects nobody", 3, starved},
	{"gossip lies about a live holder", 3, hintedAlive},
	{"gossip gives a silent holder up", 3, hintedSilent},
	{"gossip speaks of a former life", 3, hintedFormerLife},
}, confSchedules...)

func cutOffHolder(s *script) {
	s.steady()
	s.idle(s.b)
	s.c.core.SetRank(0, 0)
	at := s.now
	s.isolate(s.a, true)
	s.wait(800*ms, "A stops", func() bool { return s.holder(0) == nil })
	s.wait(800*ms, "B or C serves", func() bool { return s.holder(0) != nil })
	s.want(s.now-at > 450*ms && s.now-at < 700*ms, "failover took %v", s.now-at)
	s.settled()
}

// silent keeps from's heartbeats away from to, until to promises nothing any more.
func (s *script) silent(from *testNode, to ...*testNode) func(*testMessage) bool {
	match := func(m *testMessage) bool {
		for _, n := range to {
			if m.kind == "beat" && m.from == from.id && m.to == n.id {
				return true
			}
		}
		return false
	}
	s.rule = when(drop, match)
	s.sleep(750 * ms)
	s.want(s.holder(0) == s.a, "A lost its lease")
	return match
}

func lateAcks(s *script) {
	s.steady()
	s.rule = when(keep, is(nil, s.a, "ack"))
	step := func(d time.Duration) {
		for end := s.now + d; s.now < end; s.run(500*time.Microsecond, nil) {
			s.deliverKept(func(m *testMessage) bool { return s.now-m.at >= 599*ms })
		}
	}
	step(580 * ms)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	step(1500 * ms)
	s.want(s.holder(0) == s.b, "B does not serve")
	s.settled()
}

func chainOfFences(s *script) {
	s.steady()
	s.silent(s.b, s.c, s.d, s.e)
	s.isolate(s.a, true)
	s.elect(s.b, s.c, s.d, s.e)
	s.wait(100*ms, "C is fenced by B", func() bool { return s.group(s.c).grantee.Node == s.b.id })
	s.sleep(5 * ms)
	s.crash(s.b)
	s.elect(s.c, s.d, s.e)
	s.wait(900*ms, "C serves", func() bool { return s.holder(0) == s.c })
	s.b.boot(1)
	s.settled()
}

func ackFromBeforeRelease(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = func(m *testMessage) verdict {
		if is(s.c, s.a, "ack")(m) {
			return both
		}
		return when(drop, quiet)(m)
	}
	s.sleep(105 * ms)
	s.a.core.Handover(0, s.b.id, s.a.clock())
	s.wait(100*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.rule = when(drop, quiet, is(s.a, s.c, "fence", "beat"))
	s.b.core.Handover(0, s.a.id, s.b.clock())
	s.wait(100*ms, "A is open again", func() bool { st, _ := s.a.core.Group(0); return st.Open })
	s.want(s.deliverKept(func(*testMessage) bool { return true }) > 0, "no ACK was kept")
	s.sleep(2 * ms)
	s.cutPair(s.a, s.b, true)
	s.cutPair(s.a, s.c, true)
	s.elect(s.b, s.c)
	s.wait(700*ms, "B serves again", func() bool { return s.holder(0) == s.b })
	s.settled()
}

func ackOfFormerLife(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = func(m *testMessage) verdict {
		if is(s.c, s.a, "ack")(m) {
			return both
		}
		return when(drop, quiet)(m)
	}
	s.sleep(3 * time.Second)
	old := s.a.life
	s.crash(s.a)
	s.sleep(5 * ms)
	s.rule = when(drop, quiet, is(s.a, s.c, "beat"))
	s.a.boot(1)
	s.idle()
	s.elect(s.a, s.b, s.c)
	s.wait(time.Second, "A is open again", func() bool { st, _ := s.a.core.Group(0); return st.Open })
	s.wait(4*time.Second, "A has sent what the old ACK names", func() bool {
		if s.group(s.a).claim == nil {
			return false
		}
		v, p := s.group(s.a).claim.voter(s.group(s.c).self), s.a.core.peer(s.c.id)
		return v.acked && p.seq > v.minSeq+1 && p.seq > 20
	})
	seq := s.a.core.peer(s.c.id).seq
	s.want(s.deliverKept(func(m *testMessage) bool { return m.seq == seq && m.datagram }) > 0, "no ACK of life %d has seq %d", old, seq)
	s.sleep(2 * ms)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	s.wait(700*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

func lateTimeoutNow(s *script) {
	s.steady()
	s.rule = func(m *testMessage) verdict {
		if m.kind == "raft" && m.raft.String() == "MsgTimeoutNow" {
			return keep
		}
		return pass
	}
	first := s.a.core.Lease(0).Ballot()
	s.a.core.Handover(0, s.b.id, s.a.clock())
	s.a.core.Flush(s.a.clock())
	s.wait(300*ms, "A serves again", func() bool { return s.holder(0) == s.a })
	next := s.a.core.Lease(0).Ballot()
	s.want(next == Ballot{first.Term, first.Sub + 1}, "A serves under %v after %v", next, first)
	s.sleep(250 * ms)
	s.want(s.deliverKept(func(*testMessage) bool { return true }) > 0, "no TimeoutNow was sent")
	s.wait(200*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

// lateRelease gives C the RELEASE of (T,1) after it promised for (T,2), while B
// owes A nothing.
func lateRelease(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = func(m *testMessage) verdict {
		if is(s.a, s.c, "release")(m) {
			return keep
		}
		return when(drop, quiet)(m)
	}
	s.a.core.Release(0, "test", s.a.clock())
	s.a.core.Flush(s.a.clock())
	s.wait(300*ms, "A serves again", func() bool { return s.holder(0) == s.a })
	s.sleep(150 * ms)
	s.want(s.deliverKept(func(*testMessage) bool { return true }) > 0, "no RELEASE was sent")
	s.sleep(ms)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	s.wait(800*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

func fenceAfterRelease(s *script) {
	s.steady()
	s.rule = when(both, is(s.a, s.c, "fence"))
	s.a.core.Release(0, "test", s.a.clock())
	s.a.core.Flush(s.a.clock())
	s.wait(300*ms, "A serves again", func() bool { return s.holder(0) == s.a })
	s.rule = nil
	s.a.core.Handover(0, s.b.id, s.a.clock())
	s.a.core.Flush(s.a.clock())
	s.rule = when(drop, is(s.b, nil, "fence"), is(s.b, nil, "raft"))
	s.sleep(2 * ms)
	s.want(s.group(s.c).grantee.Node == 0, "C still promises to %v", s.group(s.c).grantee)
	s.want(s.deliverKept(func(*testMessage) bool { return true }) > 0, "no FENCE was kept")
	s.sleep(2 * ms)
	s.want(s.group(s.c).grantee.Node == 0, "a released ballot was granted again")
	s.settled()
}

func voterRestarts(s *script) {
	s.steady()
	s.silent(s.a, s.b)
	s.crash(s.c)
	s.sleep(10 * ms)
	s.c.boot(1)
	s.idle()
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	at := s.now
	s.wait(800*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.want(s.now-at > 500*ms, "B waited only %v", s.now-at)
	s.settled()
}

func oldFenceAfterRestart(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b, s.d)
	raftToA := func(m *testMessage) bool {
		return m.to == s.a.id && !m.datagram && m.from != s.c.id || m.from == s.a.id && m.kind == "raft"
	}
	block := []func(*testMessage) bool{quiet, raftToA, is(s.b, s.c, "raft"), is(s.b, s.e, "fence")}
	s.rule = when(drop, block...)
	s.c.saved = s.now + 100*ms // its disk is slow: the term that the FENCE tells is not kept
	s.elect(s.b, s.d, s.e)
	s.sleep(20 * ms)
	s.crash(s.c)
	s.sleep(5 * ms)
	s.rule = when(drop, append(block, is(s.b, s.c, "fence"))...)
	s.c.boot(1)
	s.idle()
	s.sleep(1500 * ms)
	s.settled()
}

func wholeClusterRestarts(s *script) {
	s.steady()
	for _, n := range s.nodes {
		s.crash(n)
	}
	s.sleep(20 * ms)
	for i, n := range s.nodes {
		n.boot(1)
		n.core.SetRank(0, i)
	}
	at, opened := s.now, s.opened[0]
	s.sleep(595 * ms)
	s.want(s.opened[0] == opened, "somebody opened before the longest promise had passed")
	s.wait(time.Second, "a holder", func() bool { return s.holder(0) != nil })
	s.want(s.now-at < 800*ms, "opened after %v", s.now-at)
	s.sleep(2 * time.Second)
	s.want(s.opened[0] == opened+1, "opened %d times", s.opened[0]-opened)
}

func voterRestartsUnderHolder(s *script) {
	s.steady()
	s.crash(s.c)
	s.sleep(10 * ms)
	s.c.boot(1)
	s.idle()
	l := s.a.core.Lease(0)
	s.wait(500*ms, "C is fenced again", func() bool {
		return s.group(s.c).grantee.Node == s.a.id
	})
	s.sleep(150 * ms)
	s.crash(s.b) // now A lives by C's new promise
	for range 20 {
		s.sleep(100 * ms)
		s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "A lost its lease")
	}
}

// reborn restarts the holder A and has it serve again.
func (s *script) reborn(quiet func(*testMessage) bool) (dead Member) {
	dead = s.a.core.Self()
	s.crash(s.a)
	s.sleep(5 * ms)
	s.rule = when(drop, quiet)
	s.a.boot(1)
	s.idle()
	s.elect(s.a, s.b, s.c)
	s.wait(time.Second, "A serves in its new life", func() bool { return s.holder(0) == s.a })
	s.sleep(250 * ms)
	return dead
}

func lateNodeRelease(s *script) {
	s.steady()
	dead := s.reborn(s.silent(s.a, s.b))
	for _, n := range []*testNode{s.b, s.c} {
		n.core.Datagram(s.a.id, NodeReleasePacket(dead), false, n.clock())
		n.core.Flush(n.clock())
	}
	s.sleep(ms)
	kept := s.group(s.c).grantee == s.a.core.Self()
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	s.wait(800*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.want(kept, "C took the new life's promise back")
	s.settled()
}

func veryLateNodeRelease(s *script) {
	s.steady()
	s.idle(s.b)
	dead, at := s.a.core.Self(), s.now
	s.crash(s.a)
	s.wait(900*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.want(s.now-at > 450*ms, "B did not wait for L")
	s.sleep(10 * time.Second)
	l := s.b.core.Lease(0)
	s.a.boot(1)
	s.idle()
	s.sleep(100 * ms)
	for _, n := range []*testNode{s.b, s.c} {
		n.core.Datagram(s.a.id, NodeReleasePacket(dead), true, n.clock())
		n.core.Flush(n.clock())
	}
	s.sleep(time.Second)
	s.want(s.holder(0) == s.b && s.b.core.Lease(0) == l, "the late proof cost B its lease")
	s.want(s.a.core.peer(s.b.id).inc == s.b.core.Self().Inc && s.group(s.a).grantee == s.b.core.Self(), "A in its new life is not fenced")
}

func holderSleeps(s *script) {
	s.steady()
	s.idle(s.b)
	l := s.a.core.Lease(0)
	s.want(s.a.serves(l), "the request is admitted")
	s.suspend(s.a)
	s.sleep(1200 * ms)
	s.want(s.holder(0) == s.b, "B does not serve")
	s.a.paused, s.a.asleep = false, false
	s.a.slept += s.now - s.a.sleptAt
	s.check()
	s.want(!s.a.serves(l), "a request from before the sleep says OK")
	s.resume(s.a)
	s.sleep(500 * ms)
	s.settled()
}

func holderSleepsBeforeAck(s *script) {
	s.steady()
	s.idle(s.b)
	s.rule = when(keep, is(nil, s.a, "ack"))
	s.sleep(100 * ms)
	s.suspend(s.a)
	s.sleep(1200 * ms)
	s.want(s.holder(0) == s.b, "B does not serve")
	acks := s.kept
	s.resume(s.a)
	for _, m := range acks {
		m.at = s.now
		s.testCluster.deliver(m)
		s.check()
	}
	s.sleep(500 * ms)
	s.settled()
}

func voterSleeps(s *script) {
	s.steady()
	s.silent(s.a, s.b)
	s.suspend(s.c)
	s.sleep(300 * ms)
	s.isolate(s.a, true)
	s.sleep(6 * time.Second)
	s.resume(s.c)
	s.elect(s.b, s.c)
	at := s.now
	s.wait(900*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.want(s.now-at > 400*ms, "C's hold did not stand still in its sleep: %v", s.now-at)
	s.settled()
}
