package multiraft

import (
	"testing"
	"testing/cryptotest"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// clockwork is a data plane that only keeps ceilings: it notes what it was told
// when it answered a FENCE, and what was acknowledged to it.
type clockwork struct {
	*testNode
	ceiling, heard, sealed, acked int64
}

func (c *clockwork) Ceiling() int64                           { return c.ceiling }
func (c *clockwork) CeilingHeard(_ shardmap.NodeID, h int64)  { c.heard = max(c.heard, h) }
func (c *clockwork) CeilingAcked(_ shardmap.GroupID, h int64) { c.acked = max(c.acked, h) }
func (c *clockwork) Seal(g shardmap.GroupID, b Ballot, m Member, now Instant) []byte {
	c.sealed = c.heard
	return c.testNode.Seal(g, b, m, now)
}

// clocked gives each of three nodes a clockwork.
func clocked(s *script) (a, b, c *clockwork) {
	a, b, c = &clockwork{testNode: s.a}, &clockwork{testNode: s.b}, &clockwork{testNode: s.c}
	for _, n := range []*clockwork{a, b, c} {
		n.core.data = n
	}
	return a, b, c
}

// TestACeilingNeedsAQuorum is hole 25: with one voter silent since the holder's
// start, the holder may use what the other one was told, not what it likes.
func TestACeilingNeedsAQuorum(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		a, b, _ := clocked(s)
		a.ceiling, b.ceiling = 1000, 1000
		s.crash(s.c)
		s.steady()
		s.want(a.acked == 1000, "A may use shard times up to %d, B was told 1000", a.acked)
		s.rule = func(m *testMessage) verdict {
			if m.to == s.b.id {
				return drop
			}
			return pass
		}
		a.ceiling = 3_600_000
		s.sleep(100 * ms)
		s.want(a.acked <= b.heard, "A may use shard times up to %d, B was told %d", a.acked, b.heard)
	})
	for _, f := range fails {
		t.Error(f)
	}
}

// TestACeilingCountsOnlyFromVotersOfTheLease is hole 24 of the data protocol: a
// holder whose lease still runs uses shard times up to the ceiling its lease quorum
// acknowledged, and every fence quorum must know one above. A voter that has fenced
// the successor goes on ACKing, with the group's bit clear; its ACK vouches for
// nothing, because its answer to the successor has left.
func TestACeilingCountsOnlyFromVotersOfTheLease(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	fails, _ := play(t, 3, func(s *script) {
		a, b, c := clocked(s)
		a.ceiling = 1000
		s.steady()
		// B's and C's streams to A are cut, packets are not: A does not hear of the fence.
		s.rule = func(m *testMessage) verdict {
			if m.to == s.a.id && !m.datagram {
				return drop
			}
			return pass
		}
		s.elect(s.b, s.c)
		s.sleep(5 * ms)
		s.want(s.group(s.b).grantee.Node == s.b.id && s.group(s.c).grantee.Node == s.b.id, "B has not fenced B and C")
		a.ceiling = 3_600_000 // its wall clock steps forward
		told := max(b.sealed, c.sealed)
		for range 600 {
			s.sleep(ms)
			s.want(s.holder(0) != s.a || a.acked <= told, "A's lease is good, and it may use shard times up to %d; B begins at %d", a.acked, told)
		}
	})
	for _, f := range fails {
		t.Error(f)
	}
}
