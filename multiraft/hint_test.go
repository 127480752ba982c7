package multiraft

import "time"

// silence runs until B forgets A, and says how long A had been silent then.
func (s *script) silence(limit time.Duration) time.Duration {
	s.isolate(s.a, true)
	s.wait(limit, "B forgets A", func() bool { return s.group(s.b).leader == 0 })
	d, _ := s.b.core.Silence(s.a.id, s.b.clock())
	return d
}

// hintedAlive tells everybody again and again that A is dead, while it is not:
// the lease stays the same object.
func hintedAlive(s *script) {
	s.steady()
	l := s.a.core.Lease(0)
	s.idle(s.b)
	for range 100 {
		for _, n := range []*testNode{s.b, s.c} {
			n.core.PeerHint(s.a.id, n.core.peer(s.a.id).inc.Counter, true)
		}
		s.sleep(37 * ms)
	}
	s.want(s.group(s.b).leader != 0 && s.group(s.c).leader != 0, "a lie was believed")
	s.want(s.holder(0) == s.a && s.a.core.Lease(0) == l, "A was deposed by a lie")
}

// hintedSilent compares suspicion without and with the hint, and wants the lease
// that follows to wait for A's promises all the same.
func hintedSilent(s *script) {
	s.steady()
	s.idle(s.b)
	h := s.b.core.cfg.Heartbeat
	plain := s.silence(time.Second)
	s.want(plain > 3*h, "B forgot A after %v", plain)
	s.settled()
	s.sleep(time.Second)
	s.idle(s.a)
	if s.holder(0) != s.a {
		s.elect(s.a, s.b, s.c)
		s.wait(2*time.Second, "A serves again", func() bool { return s.holder(0) == s.a })
	}
	s.idle(s.b)
	s.sleep(500 * ms)
	at := s.now
	s.isolate(s.a, true)
	for _, n := range []*testNode{s.b, s.c} {
		n.core.PeerHint(s.a.id, n.core.peer(s.a.id).inc.Counter, true)
	}
	s.wait(time.Second, "B forgets A", func() bool { return s.group(s.b).leader == 0 })
	d, _ := s.b.core.Silence(s.a.id, s.b.clock())
	s.want(d > 2*h && d < plain-h/2, "B forgot A after %v, without the hint after %v", d, plain)
	s.wait(time.Second, "B or C serves", func() bool { return s.holder(0) != nil && s.holder(0) != s.a })
	s.want(s.now-at > 450*ms, "a hint cut a promise short: %v", s.now-at)
	s.settled()
}

// hintedFormerLife says that an incarnation before the present one is dead.
func hintedFormerLife(s *script) {
	s.steady()
	s.b.core.PeerHint(s.a.id, s.b.core.peer(s.a.id).inc.Counter-1, true)
	s.want(!s.b.core.peer(s.a.id).doubted, "word of a former life was taken for the present one")
	s.b.core.PeerHint(s.a.id, s.b.core.peer(s.a.id).inc.Counter, true)
	s.want(s.b.core.peer(s.a.id).doubted, "the hint was not taken")
	s.sleep(200 * ms)
	s.want(!s.b.core.peer(s.a.id).doubted, "A's heartbeat did not refute it")
}
