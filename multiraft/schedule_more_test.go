package multiraft

import "time"

// drifting sets the clocks to the bounds that the protocol allows: the holder
// slow and its Mono slewed by all of the allowance, voter and waiter fast.
func drifting(s *script) {
	const L = 900 * ms
	s.steady()
	for _, n := range s.nodes {
		n.core.SetProfile(100*ms, L)
	}
	set := func(n *testNode, rate float64) { // a change of rate must not make the clock jump
		n.skew += time.Duration(float64(s.now) * (n.rate - rate))
		n.rate = rate
	}
	set(s.a, 1-driftPerMille/1000.0)
	set(s.c, 1+driftPerMille/1000.0)
	set(s.b, 1+driftPerMille/1000.0)
	now := s.a.clock().Mono
	s.a.monoRate = 0.88
	s.a.monoSkew = now - s.a.clock().Mono
	s.rule = when(drop, is(s.a, s.b, "beat"))
	s.sleep(1200 * ms)
	s.a.core.Release(0, "test", s.a.clock())
	s.a.core.Flush(s.a.clock())
	s.wait(200*ms, "A serves again", func() bool { return s.holder(0) == s.a })
	s.sleep(500 * ms)
	s.wait(200*ms, "a heartbeat of A is answered", func() bool { return s.now-s.lastAck < ms })
	s.sleep(500 * time.Microsecond)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	s.wait(L+100*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

func udpBlocked(s *script) {
	s.rule = func(m *testMessage) verdict {
		if m.datagram && !m.tcp {
			return drop
		}
		return pass
	}
	s.idle(s.a)
	s.wait(1100*ms, "a holder by TCP alone", func() bool { return s.holder(0) == s.a })
	l := s.a.core.Lease(0)
	s.sleep(3 * time.Second)
	s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "the lease does not last by TCP alone")
}

func udpOneWay(s *script) {
	s.rule = func(m *testMessage) verdict {
		if m.datagram && !m.tcp && m.from == s.a.id {
			return drop
		}
		return pass
	}
	s.idle(s.a)
	s.wait(1100*ms, "a holder", func() bool { return s.holder(0) == s.a })
	s.sleep(3 * time.Second)
	s.want(s.holder(0) == s.a && s.opened[0] == 1, "the lease does not last")
}

func tcpBlocked(s *script) {
	s.steady()
	s.sleep(2 * time.Second)
	s.idle(s.b, s.c)
	s.rule = func(m *testMessage) verdict {
		if (!m.datagram || m.tcp) && (m.from == s.a.id || m.to == s.a.id) {
			return drop
		}
		return pass
	}
	s.wait(2*time.Second, "somebody whose raft streams work serves", func() bool {
		n := s.holder(0)
		return n != nil && n != s.a
	})
	s.settled()
}

func longerPromise(s *script) {
	s.steady()
	s.a.core.SetProfile(100*ms, 1500*ms)
	s.sleep(ms)
	s.sleep(1000 * ms)
	s.want(s.c.disk.identity.Cap == 1500*ms, "the cap on C's disk is %v", s.c.disk.identity.Cap)
	s.silentFor(1600 * ms)
	s.b.core.SetProfile(100*ms, 1500*ms)
	s.isolate(s.a, true)
	s.elect(s.b, s.c)
	at := s.now
	s.wait(1700*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.want(s.now-at > 1350*ms, "B waited %v", s.now-at)
	s.crash(s.c)
	s.sleep(10 * ms)
	s.c.boot(1)
	want := s.c.clock().Wait + 1500*ms
	s.want(s.c.core.blindUntil == want, "the blind hold is not the longest promise")
	s.settled()
}

func (s *script) silentFor(d time.Duration) {
	s.rule = when(drop, is(s.a, s.b, "beat"))
	s.sleep(d)
	s.want(s.holder(0) == s.a, "A lost its lease")
}

func requestAcrossRelease(s *script) {
	s.steady()
	old := s.a.core.Lease(0)
	s.want(s.a.serves(old), "the request is admitted")
	s.a.core.Handover(0, s.b.id, s.a.clock())
	s.wait(100*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.b.core.Handover(0, s.a.id, s.b.clock())
	s.wait(100*ms, "A serves", func() bool { return s.holder(0) == s.a })
	s.want(!s.a.serves(old) && old.Closed(), "the request's lease is alive again")
}

func openCommittedLater(s *script) {
	s.steady()
	s.crash(s.a)
	s.elect(s.b, s.c)
	s.wait(100*ms, "B fences", func() bool { return s.b.core.Lease(0) != nil })
	b := s.b.core.Lease(0)
	s.sleep(200 * ms)
	// B's Open reaches C, but B does not hear so.
	s.rule = when(drop, is(s.c, s.b, "raft"))
	s.wait(900*ms, "C has B's Open in its log", func() bool {
		last, _ := s.group(s.c).log.LastIndex()
		return s.group(s.b).claim != nil && s.group(s.b).claim.state == claimGated && last > s.group(s.c).log.applied
	})
	s.a.boot(1)
	s.idle()
	s.cutPair(s.a, s.b, true)
	s.sleep(5 * ms)
	s.cutPair(s.c, s.b, true)
	s.elect(s.c, s.a)
	s.rule = nil
	s.wait(3*time.Second, "C serves", func() bool { return s.holder(0) == s.c })
	s.want(!s.b.serves(b), "B serves under an Open that C committed")
	s.settled()
	s.sleep(300 * ms)
	s.want(s.opened[0] == 2+boolInt(s.holder(0) != s.c), "opened %d times", s.opened[0])
	s.want(b.Closed() && !b.open.Load(), "B's lease was opened by another's commit")
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func acksLost(s *script) {
	s.steady()
	s.sleep(time.Second)
	s.idle(s.b, s.c)
	s.rule = when(drop, is(nil, s.a, "ack"))
	s.wait(2*time.Second, "another serves", func() bool {
		n := s.holder(0)
		return n != nil && n != s.a
	})
	s.settled()
}

// releaseBeforeFence lets C hear B's RELEASE while B's FENCE is still under way.
func releaseBeforeFence(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = when(drop, quiet, is(s.b, s.c, "fence"), is(s.c, s.a, "raft"), is(s.b, s.a, "raft", "fence", "release"))
	s.elect(s.b, s.c)
	s.wait(100*ms, "B fences", func() bool { return s.b.core.Lease(0) != nil })
	s.b.core.Release(0, "test", s.b.clock())
	s.group(s.b).handover = s.b.clock().Wait + time.Hour
	s.b.core.Flush(s.b.clock())
	s.sleep(2 * ms)
	s.isolate(s.a, true)
	s.b.core.Transfer(0, s.c.id)
	s.b.core.Flush(s.b.clock())
	s.wait(900*ms, "C serves", func() bool { return s.holder(0) == s.c })
	s.group(s.b).handover = 0
	s.settled()
}

// fencedHolder has B fence A and C, while C goes on acking A's heartbeats.
func fencedHolder(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = when(drop, quiet, is(s.b, s.c, "fence"))
	s.elect(s.b, s.a, s.c)
	s.sleep(1500 * ms)
	s.want(s.holder(0) == s.b, "B does not serve")
	s.settled()
}

func releaseCloses(s *script) {
	s.steady()
	l := s.a.core.Lease(0)
	s.a.core.Handover(0, s.b.id, s.a.clock())
	s.want(l.Closed() && !s.a.serves(l), "the lease lives after its RELEASE")
	s.wait(100*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

// beatBesideFence keeps C's answer to a heartbeat, fences C, and then gives A the ACK.
func beatBesideFence(s *script) {
	s.steady()
	quiet := s.silent(s.a, s.b)
	s.rule = func(m *testMessage) verdict {
		if is(s.c, s.a, "ack")(m) {
			return keep
		}
		return when(drop, quiet)(m)
	}
	s.wait(200*ms, "C answers a heartbeat", func() bool { return len(s.kept) > 0 })
	s.cutPair(s.a, s.b, true)
	s.rule = when(drop, is(nil, s.a, "raft", "fence"))
	s.elect(s.b, s.c)
	s.wait(100*ms, "B's fence reaches C", func() bool { return s.group(s.c).grantee.Node == s.b.id })
	s.deliverKept(func(*testMessage) bool { return true })
	s.wait(900*ms, "B serves", func() bool { return s.holder(0) == s.b })
	s.settled()
}

// starved stops B for a while that is longer than suspicion takes; what it did
// not hear says nothing about A.
func starved(s *script) {
	s.steady()
	l := s.a.core.Lease(0)
	s.idle(s.b)
	for range 5 {
		s.pause(s.b)
		s.sleep(900 * ms)
		s.b.inbox = nil // what came meanwhile is lost
		s.resume(s.b)
		s.b.core.Tick(s.b.clock())
		s.want(s.group(s.b).leader != 0, "B suspects A for what it did not hear")
		s.sleep(300 * ms)
	}
	s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "A was deposed")
}

func deafNode(s *script) {
	s.steady()
	s.sleep(time.Second)
	s.cut[pair(s.a, s.c)], s.cut[pair(s.b, s.c)] = true, true
	s.idle(s.c)
	l := s.a.core.Lease(0)
	for range 50 {
		s.sleep(100 * ms)
		s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "a deaf node deposed A")
	}
}
