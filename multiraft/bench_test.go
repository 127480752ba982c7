package multiraft

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// BenchmarkIdleSecond is one simulated second of an idle cluster of three nodes:
// heartbeats, promises, raft ticks and their frames, and the harness itself.
func BenchmarkIdleSecond(b *testing.B) {
	for _, groups := range []int{16, 64} {
		b.Run("groups="+string(rune('0'+groups/10))+string(rune('0'+groups%10)), func(b *testing.B) {
			c := newTestCluster(b, 3, groups, 1)
			if !c.run(5*time.Second, c.allHeld) {
				b.Fatal("not every group has a holder")
			}
			c.run(time.Second, nil)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.idle(time.Second)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(20*3*groups), "ns/replica-tick")
		})
	}
}

// idle runs without the checks that would cost more than what is measured.
func (c *testCluster) idle(d time.Duration) {
	for end := c.now + d; c.now < end; {
		c.now += 5 * time.Millisecond
		due := c.wires
		c.wires = nil
		for _, m := range due {
			c.deliver(m)
		}
		for _, n := range c.nodes {
			if n.core.NextDeadline(n.clock()) <= n.clock().Wait {
				n.core.Tick(n.clock())
				n.core.Flush(n.clock())
			}
		}
	}
}

func BenchmarkLeaseCheck(b *testing.B) {
	l := &Lease{}
	l.open.Store(true)
	l.deadline.Store(int64(time.Hour))
	for b.Loop() {
		if !l.Check(time.Second, 0) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkSupport(b *testing.B) {
	c := newTestCluster(b, 3, 1, 1)
	if !c.run(5*time.Second, c.allHeld) {
		b.Fatal("no holder")
	}
	n := c.holder(0)
	g := n.core.groups[shardmap.GroupID(0)]
	b.ReportAllocs()
	for b.Loop() {
		n.core.publish(g, n.clock())
	}
}
