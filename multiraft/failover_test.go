package multiraft

import (
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestThreeFoundersOpenEveryGroupOnce(t *testing.T) {
	c := newTestCluster(t, 3, 8, 1)
	if !c.run(2*time.Second, c.allHeld) {
		t.Fatal("not every group has a holder after 2 s")
	}
	t.Logf("all open after %v", c.now)
	before := fmt.Sprint(c.top)
	c.run(5*time.Second, nil)
	if len(c.overlaps) > 0 {
		t.Fatal(c.overlaps[0])
	}
	if after := fmt.Sprint(c.top); after != before {
		t.Fatalf("leases moved without a fault: %s, then %s", before, after)
	}
}

func TestADeadHolderIsReplacedWithinTheLease(t *testing.T) {
	for seed := range uint64(20) {
		c := newTestCluster(t, 3, 4, seed)
		c.run(3*time.Second, c.allHeld)
		dead := c.holder(1)
		c.run(time.Duration(c.rng.IntN(100))*time.Millisecond, nil)
		c.crash(dead)
		at := c.now
		if !c.run(2*time.Second, c.allHeld) {
			t.Fatalf("seed %d: no holder 2 s after the crash", seed)
		}
		if took := c.now - at; took > 700*time.Millisecond || took < 400*time.Millisecond {
			t.Errorf("seed %d: failover took %v, want about the 600 ms lease", seed, took)
		}
		if len(c.overlaps) > 0 {
			t.Fatal(c.overlaps[0])
		}
	}
}

// TestADeadHolderIsSuspectedOnTime: the host sleeps for as long as NextDeadline says,
// and silence is due in between raft's ticks.
func TestADeadHolderIsSuspectedOnTime(t *testing.T) {
	for seed := range uint64(20) {
		c := newTestCluster(t, 3, 2, seed)
		c.run(3*time.Second, c.allHeld)
		dead := c.holder(1)
		c.run(time.Duration(c.rng.IntN(100))*time.Millisecond, nil)
		c.crash(dead)
		suspected := map[shardmap.NodeID]bool{dead.id: true}
		c.run(time.Second, func() bool {
			for _, n := range c.nodes {
				if suspected[n.id] || NodeOf(n.core.group(1).leader) == dead.id {
					continue
				}
				suspected[n.id] = true
				p := n.core.peer(dead.id)
				if late := n.clock().Wait - p.heard - n.core.silenceMax(p); late > 2*time.Millisecond {
					t.Errorf("seed %d: node %d suspected %v too late", seed, n.id, late)
				}
			}
			return len(suspected) == 3
		})
		if len(suspected) < 3 {
			t.Errorf("seed %d: only %v saw a dead leader", seed, suspected)
		}
	}
}

func TestAnIsolatedHolderStopsBeforeAnotherServes(t *testing.T) {
	c := newTestCluster(t, 3, 2, 3)
	c.run(3*time.Second, c.allHeld)
	old := c.holder(1)
	c.isolate(old, true)
	if !c.run(2*time.Second, func() bool { n := c.holder(1); return n != nil && n != old }) {
		t.Fatal("nobody took over")
	}
	c.isolate(old, false)
	c.run(3*time.Second, nil)
	if len(c.overlaps) > 0 {
		t.Fatal(c.overlaps[0])
	}
}

// handover moves the lease of group 1 to another node and says how long nobody served.
func (c *testCluster) handover(t *testing.T) (took time.Duration) {
	t.Helper()
	from := c.holder(1)
	to := c.nodes[from.id%3]
	at := c.now
	from.core.Handover(1, to.id, from.clock())
	from.core.Flush(from.clock())
	if !c.run(time.Second, func() bool { return c.holder(1) != nil }) {
		t.Fatal("nobody serves a second after the handover")
	}
	if c.holder(1) != to {
		t.Fatalf("node %d serves, want node %d", c.holder(1).id, to.id)
	}
	if len(c.overlaps) > 0 {
		t.Fatal(c.overlaps[0])
	}
	return c.now - at
}

func TestAHandoverCostsMilliseconds(t *testing.T) {
	c := newTestCluster(t, 3, 2, 4)
	c.run(3*time.Second, c.allHeld)
	if took := c.handover(t); took > 50*time.Millisecond {
		t.Errorf("served again after %v, want 50 ms", took)
	}
}

// TestAHandoverIsTwoWritesOfTheDisks: the votes are one, the first entry of the term and
// the Open are the other.
func TestAHandoverIsTwoWritesOfTheDisks(t *testing.T) {
	for seed := range uint64(20) {
		c := newTestCluster(t, 3, 2, seed)
		c.run(3*time.Second, c.allHeld)
		c.run(time.Second, nil) // until followers know that the Opens are committed
		c.write = 20 * time.Millisecond
		if took := c.handover(t); took > 3*c.write-5*time.Millisecond {
			t.Errorf("seed %d: served again after %v, want two writes of %v", seed, took, c.write)
		}
	}
}

// TestTheHeldEntryBringsNoSecondElection: until the first append of a term comes, it is
// the FENCE by which the others hear who leads. The second in rank campaigns 30 ms after
// the first and needs as long as a disk writes.
func TestTheHeldEntryBringsNoSecondElection(t *testing.T) {
	const seeds = 40
	terms := uint64(0)
	for seed := range uint64(seeds) {
		c := newTestCluster(t, 3, 2, seed)
		c.run(3*time.Second, c.allHeld)
		c.run(time.Second, nil)
		c.write = 23 * time.Millisecond
		from := c.holder(1)
		before, _ := from.core.Group(1)
		from.core.Stop(from.clock())
		from.core.Flush(from.clock())
		c.crash(from)
		if !c.run(3*time.Second, func() bool { return c.holder(1) != nil }) {
			t.Fatalf("seed %d: nobody serves", seed)
		}
		after, _ := c.holder(1).core.Group(1)
		terms += after.Term - before.Term
		if len(c.overlaps) > 0 {
			t.Fatal(c.overlaps[0])
		}
	}
	if terms > seeds*3/2 {
		t.Errorf("%d elections after %d deaths", terms, seeds)
	}
}

// TestAFenceDeposesALivingHolder: it knows of the term by the FENCE, closes and says so,
// although the append that would tell it is held back.
func TestAFenceDeposesALivingHolder(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		s.steady()
		s.write = 20 * ms
		at := s.now
		s.elect(s.b, s.c) // A has no vote in it
		s.wait(2*time.Second, "B serves", func() bool { return s.holder(0) == s.b })
		s.want(s.now-at < 4*s.write, "B serves after %v", s.now-at)
	})
	for _, f := range fails {
		t.Error(f)
	}
}

func TestASingleNodeOpensAtOnceAndGrowsToThree(t *testing.T) {
	c := newTestCluster(t, 3, 1, 5) // only for the nodes; the group is made anew below
	c.nodes, c.wires = nil, nil
	for i := 1; i <= 3; i++ {
		c.addNode(shardmap.NodeID(i))
	}
	r := []ReplicaDesc{MakeReplica(1, 1, RoleVoter), MakeReplica(2, 2, RoleLearner), MakeReplica(3, 3, RoleLearner)}
	one := c.nodes[0]
	if err := one.core.Create(0, r[:1], r[0].ID, one.clock()); err != nil {
		t.Fatal(err)
	}
	one.core.Flush(one.clock())
	if !c.run(200*time.Millisecond, func() bool { return c.holder(0) == one }) {
		t.Fatal("a single node does not serve after 200 ms")
	}
	for i := 1; i < 3; i++ {
		if err := c.nodes[i].core.Join(0, r[i].ID, c.nodes[i].clock()); err != nil {
			t.Fatal(err)
		}
	}
	drive := func(target []ReplicaDesc) bool {
		return c.run(5*time.Second, func() bool {
			st, _ := one.core.Group(0)
			done := one.core.Reconfigure(st, target, one.clock())
			one.core.Flush(one.clock())
			if c.holder(0) == nil {
				t.Fatalf("a moment without holder at %v", c.now)
			}
			return done
		})
	}
	if !drive(r) {
		t.Fatal("learners were not added")
	}
	all := []ReplicaDesc{MakeReplica(1, 1, RoleVoter), MakeReplica(2, 2, RoleVoter), MakeReplica(3, 3, RoleVoter)}
	if !drive(all) {
		t.Fatal("no three voters after 5 s")
	}
	c.crash(one)
	if !c.run(3*time.Second, func() bool { return c.holder(0) != nil }) {
		t.Fatal("no failover after the growth")
	}
	if len(c.overlaps) > 0 {
		t.Fatal(c.overlaps[0])
	}
}

// storm runs one random schedule of crashes, cuts, loss and drift.
func storm(tb testing.TB, seed uint64) *testCluster {
	c := newTestCluster(tb, 3, 2, seed)
	for _, n := range c.nodes {
		n.rate = 1 + (c.rng.Float64()*2-1)*driftPerMille/1000
	}
	for range 25 {
		n := c.nodes[c.rng.IntN(3)]
		switch c.rng.IntN(8) {
		case 0:
			if !n.down {
				c.crash(n)
			}
		case 1, 2:
			if n.down {
				n.boot(2)
			}
		case 3:
			c.isolate(n, true)
		case 4, 5:
			c.isolate(n, false)
			c.loss = 0
		case 6:
			c.loss = c.rng.Float64() * 0.3
		case 7:
			if !n.down {
				n.core.Handover(1, c.nodes[c.rng.IntN(3)].id, n.clock())
			}
		}
		c.run(time.Duration(c.rng.IntN(900))*time.Millisecond, nil)
	}
	c.loss = 0
	for _, n := range c.nodes {
		c.isolate(n, false)
		if n.down {
			n.boot(2)
		}
	}
	return c
}

func TestNobodyServesBesideAnotherInAStorm(t *testing.T) {
	for seed := range uint64(40) {
		c := storm(t, seed)
		healed := c.run(4*time.Second, c.allHeld)
		if len(c.overlaps) > 0 {
			t.Fatalf("seed %d: %s", seed, c.overlaps[0])
		}
		if !healed {
			t.Fatalf("seed %d: not every group is held 4 s after the faults ended", seed)
		}
	}
}
