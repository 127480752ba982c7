package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// plays runs a script that only one test has.
func plays(t *testing.T, sc Script) {
	t.Helper()
	r := RunScript(sc)
	for _, b := range r.Broken {
		t.Error(b)
	}
	if t.Failed() {
		for _, l := range r.Log {
			t.Log(l)
		}
	}
}

// living are the nodes that run, lowest id first.
func (s *stage) living() (ps []*process) {
	for _, p := range s.nodes {
		if p.up {
			ps = append(ps, p)
		}
	}
	return ps
}

// TestALateWordToBeginChangesNothing: group 1 is left nowhere and begins anew. The word for
// that is slow, the operator says all of it again at another node, and the slow one comes
// when the group is served: it must not take its data away.
func TestALateWordToBeginChangesNothing(t *testing.T) {
	plays(t, Script{Name: "a late word to begin", Nodes: 7, Steps: []Step{
		do.steady(),
		do.set(nodeA, "k", "1", majority),
		do.member(nodeB),
		do.losesDisk(nodeA), do.losesDisk(nodeB), do.losesDisk(nodeC),
		do.unheard(),
		{"the word, twice, the first one slow", func(s *stage) {
			gone := []shardmap.NodeID{s.cast[nodeA].id, s.cast[nodeB].id, s.cast[nodeC].id}
			live := s.living()
			host, first, second := live[0], live[3], live[2]
			s.cast[nodeD] = host
			one := s.says(first, gone)
			s.proceed(5*sec, func() bool { return one() || len(first.core.Meta().Recoveries) == 1 })
			s.link(first.id, host.id).delayMin = 3 * sec
			s.proceed(5*sec, one)
			s.must(s.proceed(15*sec, s.says(second, gone)), "P13", "said again, it is not answered")
		}},
		do.servedBy(5*sec, nodeD),
		do.set(nodeD, "k", "new", async),
		do.sleep(4 * sec),
		{"D still has it", func(s *stage) {
			s.must(s.cast[nodeD].core.Data().Replica(theGroup) != nil, "recover", "a late word has dropped the data of a group that is served")
		}},
		do.get(holder, "k"),
		do.settled(),
	}})
}

// TestABlankReplicaMakesRoom: the only survivor was about to get a copy, and has a replica
// that nobody has filled. The group begins anew there.
func TestABlankReplicaMakesRoom(t *testing.T) {
	plays(t, Script{Name: "a blank replica is left", Nodes: 4, Steps: []Step{
		do.steady(),
		do.stranger(nodeD),
		do.set(nodeA, "k", "1", majority),
		{"D is wanted, and has a blank replica", func(s *stage) {
			s.intend(s.cast[nodeB].id, meta.Leaving)
			ok := s.proceed(20*sec, func() bool {
				st, have := s.cast[nodeD].core.Raft().Group(theGroup)
				return have && st.Applied == 0
			})
			s.must(ok, "script", "no blank replica")
		}},
		do.losesDisk(nodeA), do.losesDisk(nodeB), do.losesDisk(nodeC),
		do.unheard(),
		do.recover(nodeD, nodeA, nodeB, nodeC),
		do.servedBy(10*sec, nodeD),
		do.get(nodeD, "k"),
		do.judge(nodeD),
		do.set(nodeD, "k", "2", async),
		do.settled(),
	}})
}

// TestACopyThatIsFarAwayIsWaitedFor: two of five are left. The one with the older data has no
// majority to hear, and the one with the newer data is far away.
func TestACopyThatIsFarAwayIsWaitedFor(t *testing.T) {
	for _, d := range []time.Duration{20 * ms, 200 * ms, 300 * ms, 400 * ms} {
		plays(t, Script{Name: fmt.Sprint("a survivor is far away, ", d), Nodes: 5, Copies: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.member(nodeB),
			do.hush(nodeA, nodeE, true),
			do.set(nodeA, "k", "2", majority),
			do.losesDisk(nodeA), do.losesDisk(nodeB), do.losesDisk(nodeD),
			do.unheard(),
			do.slow(nodeC, nodeE, d), do.slow(nodeE, nodeC, d),
			do.recover(nodeE, nodeA, nodeB, nodeD),
			do.until("P13", 12*sec, "somebody serves", func(s *stage) bool { return s.serving() != nil }),
			{"what C had is read", func(s *stage) {
				r := s.request(s.node(holder), &statemachine.Command{}, s.keyIn("k"), "", shardgroup.Async)
				r.finish()
				s.must(string(r.op.Value) == "2", "recover", "read is %q", r.op.Value)
			}},
			do.judge(holder),
		}})
	}
}

// TestWhoKnowsLessOfGroup0IsRefused: E was cut off while group 0 decided something, and only C
// of the survivors has heard of it. What is planned at E would be made without that.
func TestWhoKnowsLessOfGroup0IsRefused(t *testing.T) {
	plays(t, Script{Name: "group 0 is older here", Nodes: 5, Steps: []Step{
		do.steady(),
		do.set(nodeA, "k", "1", majority),
		do.twoSurvivors(nodeD, nodeE),
		do.isolate(nodeE),
		{"group 0 decides something without E", func(s *stage) {
			s.proceed(5*sec, nil) // whoever leads group 0 now
			s.intend(s.cast[nodeB].id, meta.Draining)
			s.must(s.proceed(5*sec, func() bool {
				row, _ := s.cast[nodeC].core.Meta().Node(s.cast[nodeB].id)
				return row.Intent == meta.Draining
			}), "script", "it does not")
		}},
		do.crash(nodeA), do.crash(nodeB), do.crash(nodeD),
		do.rejoin(nodeE),
		do.unheard(),
		do.noRecovery(nodeE, "knows more of what group 0 decided", nodeA, nodeB, nodeD),
		do.recover(nodeC, nodeA, nodeB, nodeD),
		do.until("P13", 10*sec, "somebody serves", func(s *stage) bool { return s.serving() != nil }),
		do.get(holder, "k"),
		do.settled(),
	}})
}

// TestAnOathOutlivesAFailedRecovery: C has begun the generation of group 0, and is cut off
// before E hears of it. Those that were declared gone come back meanwhile: with E they would
// be a majority of the old generation.
func TestAnOathOutlivesAFailedRecovery(t *testing.T) {
	generation := func(p *process) uint64 {
		end, _ := p.core.Raft().LogEnd(shardmap.MetaGroup)
		return end.Generation
	}
	plays(t, Script{Name: "cut off in the middle of a recovery", Nodes: 5, Steps: []Step{
		do.steady(),
		do.set(nodeA, "k", "1", majority),
		do.twoSurvivors(nodeD, nodeE),
		do.isolate(nodeE),
		do.intend(nodeB, meta.Draining), // so E knows less of group 0
		do.sleep(2 * sec),
		do.crash(nodeA), do.crash(nodeB), do.crash(nodeD),
		do.rejoin(nodeE),
		do.unheard(),
		do.recoverUntil(nodeE, "C is cut off when it goes on with group 0", func(s *stage) bool {
			c := s.cast[nodeC]
			cut := generation(c) == 1
			if cut {
				do.isolate(nodeC).do(s)
			}
			return cut
		}, nodeA, nodeB, nodeD),
		{"E has not heard of it", func(s *stage) { s.must(generation(s.cast[nodeE]) == 0, "script", "it has") }},
		do.sleep(12 * sec),
		do.start(nodeA), do.start(nodeB),
		do.sleep(10 * sec),
		{"the old generation of group 0 has no majority", func(s *stage) {
			for _, r := range []role{nodeA, nodeB, nodeE} {
				st, _ := s.cast[r].core.Raft().Group(shardmap.MetaGroup)
				now := s.cast[r].clock()
				s.must(!st.Lease.Check(now.Mono, now.SuspendOffset), "recover", "%v holds group 0", r)
			}
		}},
		do.rejoin(nodeC),
		do.until("P13", 20*sec, "E has heard of it", func(s *stage) bool { return generation(s.cast[nodeE]) == 1 }),
		do.crash(nodeA), do.crash(nodeB),
		do.unwanted(nodeA), do.unwanted(nodeB), do.unwanted(nodeD),
	}})
}
