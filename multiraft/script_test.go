package multiraft

import (
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

const ms = time.Millisecond

// script is one schedule of lease-protocol section 11 on a small cluster with
// one group, led by A at first; nobody but A campaigns unless the script says so.
type script struct {
	*testCluster
	a, b, c, d, e *testNode
	fails         []string
}

type stopped struct{}

// want notes what the schedule expects; a miss ends the script.
func (s *script) want(ok bool, format string, args ...any) {
	if !ok {
		s.fails = append(s.fails, fmt.Sprintf("%v: ", s.now)+fmt.Sprintf(format, args...))
		panic(stopped{})
	}
}

// wait runs until done, and fails the script when that takes longer than d.
func (s *script) wait(d time.Duration, what string, done func() bool) {
	s.want(s.run(d, done), "not within %v: %s", d, what)
}

func (s *script) sleep(d time.Duration) { s.run(d, nil) }

func (s *script) group(n *testNode) *group { return n.core.groups[0] }

// idle keeps every node but the named ones from campaigning by itself.
func (s *script) idle(but ...*testNode) {
	for _, n := range s.nodes {
		g := s.group(n)
		if g == nil {
			continue
		}
		rank := 1000
		if i := slices.Index(but, n); i >= 0 {
			rank = i
		}
		n.core.SetRank(0, rank)
		g.campaignAt = 0
	}
}

// steady lets A lead and serve for a while.
func (s *script) steady() {
	s.idle(s.a)
	s.wait(2*time.Second, "A serves", func() bool { return s.holder(0) == s.a })
	s.idle()
	s.sleep(500 * ms)
	s.want(s.holder(0) == s.a, "A lost its lease without a fault")
}

// elect makes n campaign now, with voters that forgot their leader.
func (s *script) elect(n *testNode, voters ...*testNode) {
	for _, v := range append(voters, n) {
		_ = s.group(v).rn.ForgetLeader()
		v.core.touch(s.group(v))
		v.core.Flush(v.clock())
	}
	if err := s.group(n).rn.Campaign(); err != nil {
		s.want(false, "campaign: %v", err)
	}
	n.core.touch(s.group(n))
	n.core.Flush(n.clock())
}

func (s *script) cutPair(x, y *testNode, on bool) {
	s.cut[pair(x, y)], s.cut[pair(y, x)] = on, on
}

// deliver hands over the kept messages that match, in order.
func (s *script) deliverKept(match func(*testMessage) bool) (n int) {
	rest := s.kept[:0:0]
	for _, m := range s.kept {
		if match(&m) {
			m.at = s.now
			s.wires = append(s.wires, m)
			n++
		} else {
			rest = append(rest, m)
		}
	}
	s.kept = rest
	return n
}

func (s *script) pause(n *testNode) { n.paused = true }

func (s *script) resume(n *testNode) {
	n.paused = false
	if n.asleep {
		n.asleep = false
		n.slept += s.now - n.sleptAt
	}
	for _, m := range n.inbox {
		m.at = s.now
		s.wires = append(s.wires, m)
	}
	n.inbox = nil
	s.check()
}

func (s *script) suspend(n *testNode) {
	n.paused, n.asleep, n.sleptAt = true, true, s.now
}

// settled heals everything and wants a holder again.
func (s *script) settled() {
	s.rule = nil
	clear(s.cut)
	for i, n := range s.nodes {
		if n.paused {
			s.resume(n)
		}
		if s.group(n) != nil {
			n.core.SetRank(0, i)
			s.group(n).campaignAt = 0
		}
	}
	s.wait(8*time.Second, "a holder after everything healed", func() bool { return s.holder(0) != nil })
}

func is(from, to *testNode, kinds ...string) func(*testMessage) bool {
	return func(m *testMessage) bool {
		return (from == nil || m.from == from.id) && (to == nil || m.to == to.id) && slices.Contains(kinds, m.kind)
	}
}

// when gives v to what matches and passes the rest.
func when(v verdict, matches ...func(*testMessage) bool) func(*testMessage) verdict {
	return func(m *testMessage) verdict {
		for _, match := range matches {
			if match(m) {
				return v
			}
		}
		return pass
	}
}

// play runs one schedule and returns what went wrong: broken expectations, then
// broken invariants.
func play(tb testing.TB, nodes int, f func(*script)) (fails, overlaps []string) {
	c := newTestCluster(tb, nodes, 1, 11)
	c.delayMax = 100 * time.Microsecond
	s := &script{testCluster: c}
	for i, p := range []**testNode{&s.a, &s.b, &s.c, &s.d, &s.e} {
		if i < nodes {
			*p = c.nodes[i]
		}
	}
	func() {
		defer func() {
			if r := recover(); r != nil && r != (stopped{}) {
				panic(r)
			}
		}()
		f(s)
	}()
	return s.fails, s.overlaps
}

type schedule struct {
	name  string
	nodes int
	play  func(*script)
}

func TestSchedules(t *testing.T) {
	for i, sc := range schedules {
		t.Run(sc.name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(i))
			fails, overlaps := play(t, sc.nodes, sc.play)
			for _, f := range fails {
				t.Error(f)
			}
			if len(overlaps) > 0 {
				t.Errorf("%d overlaps, first %s", len(overlaps), overlaps[0])
			}
		})
	}
}
