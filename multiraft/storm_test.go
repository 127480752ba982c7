package multiraft

import (
	"testing"
	"testing/cryptotest"
	"time"
)

// tempest is a storm of every fault that the harness has, on five nodes whose
// clocks drift, with the promise length changed under way and voters replaced.
func tempest(tb testing.TB, seed uint64) *testCluster {
	c := newTestCluster(tb, 5, 1, seed)
	for _, n := range c.nodes {
		n.rate = 1 + (c.rng.Float64()*2-1)*driftPerMille/1000
		n.monoRate = 1 - c.rng.Float64()*0.1
	}
	s := &script{testCluster: c}
	lossy := 0.0
	var oneWay [2]*testNode
	c.rule = func(m *testMessage) verdict {
		switch {
		case oneWay[0] != nil && m.from == oneWay[0].id && m.to == oneWay[1].id:
			return drop
		case c.rng.Float64() < lossy:
			return drop
		case c.rng.IntN(50) == 0:
			return keep // comes back much later
		}
		return pass
	}
	for range 50 {
		n := c.nodes[c.rng.IntN(len(c.nodes))]
		s.blow(n, &lossy, &oneWay)
		s.mend(&lossy, &oneWay)
		c.run(time.Duration(c.rng.IntN(500))*time.Millisecond, nil)
		s.deliverKept(func(*testMessage) bool { return c.rng.IntN(2) == 0 })
	}
	for _, n := range c.nodes {
		if n.down {
			n.boot(c.groups)
		}
	}
	c.rule = nil
	clear(c.cut)
	for _, n := range c.nodes {
		if n.paused {
			s.resume(n)
		}
	}
	return c
}

// mend keeps a quorum alive most of the time: without one nothing is tried.
func (s *script) mend(lossy *float64, oneWay *[2]*testNode) {
	c := s.testCluster
	away := 0
	for _, n := range c.nodes {
		if n.down || n.paused {
			away++
		}
	}
	for _, n := range c.nodes {
		switch {
		case !n.down && !n.paused, away < 3 && c.rng.IntN(4) > 0:
		case n.down:
			n.boot(c.groups)
		default:
			s.resume(n)
		}
	}
	if c.rng.IntN(3) == 0 {
		clear(c.cut)
		*oneWay, *lossy = [2]*testNode{}, 0
	}
}

func (s *script) blow(n *testNode, lossy *float64, oneWay *[2]*testNode) {
	c := s.testCluster
	other := c.nodes[c.rng.IntN(len(c.nodes))]
	switch c.rng.IntN(14) {
	case 0:
		if !n.down && !n.paused {
			dead := n.core.Self()
			c.crash(n)
			if c.rng.IntN(2) == 0 { // the parent saw it die, and the news may be slow
				for _, o := range c.nodes {
					c.wires = append(c.wires, testMessage{
						at: c.now + time.Duration(c.rng.IntN(2000))*ms, from: n.id, to: o.id,
						body: NodeReleasePacket(dead), datagram: true, kind: "noderelease",
					})
				}
			}
		}
	case 1, 2:
		if n.down {
			n.boot(c.groups)
		}
	case 3:
		c.isolate(n, true)
	case 4:
		clear(c.cut)
		*oneWay = [2]*testNode{}
	case 5:
		*lossy = c.rng.Float64() * 0.3
	case 6:
		*lossy = 0
	case 7:
		if !n.down && !n.paused && n != other {
			n.core.Handover(0, other.id, n.clock())
		}
	case 8:
		if !n.down && !n.paused {
			n.core.Release(0, "storm", n.clock())
		}
	case 9:
		if !n.down && !n.paused {
			s.pause(n)
		}
	case 10:
		if !n.down && !n.paused {
			s.suspend(n)
		}
	case 11:
		if n.paused {
			s.resume(n)
		}
	case 12:
		if !n.down {
			n.core.SetProfile(100*ms, []time.Duration{300 * ms, 600 * ms, 1500 * ms}[c.rng.IntN(3)])
		}
	case 13:
		*oneWay = [2]*testNode{n, other}
	}
}

// The simulator replays failures from a seed: nothing may depend on map order,
// clocks or addresses.
func TestATempestRepeats(t *testing.T) {
	for seed := range uint64(10) {
		var events [2]uint64
		for i := range events {
			cryptotest.SetGlobalRandom(t, seed)
			events[i] = tempest(t, seed).events
		}
		if events[0] != events[1] {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

func TestNobodyServesBesideAnotherInATempest(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() || raceBuild {
		seeds = 40
	}
	for seed := range seeds {
		cryptotest.SetGlobalRandom(t, seed)
		c := tempest(t, seed)
		healed := c.run(12*time.Second, c.allHeld)
		if len(c.overlaps) > 0 {
			t.Fatalf("seed %d: %s", seed, c.overlaps[0])
		}
		if !healed {
			t.Fatalf("seed %d: no holder 12 s after the faults ended", seed)
		}
	}
}
