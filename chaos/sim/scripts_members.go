package sim

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
)

// memberScripts are about nodes that come, go and lose their disks.
var memberScripts = []Script{
	{
		Name: "removed while it was down", From: "DESIGN 3: placement; simulator, seed 8 of 300 s", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.joins(nodeD),
			do.sleep(5 * sec),
			do.intend(nodeC, meta.Leaving),
			do.voters(20*sec, nodeA, nodeB, nodeD),
			do.start(nodeC),
			do.left(10*sec, nodeC),
			do.settled(),
		},
	},
	{
		// Nothing is replaced by itself here (replace-after off), but C was sent away by hand: it
		// will never say that it leaves, and is forgotten all the same, once nothing counts on it.
		Name: "sent away when it was dead", From: "review: decommission of a dead node", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.joins(nodeD),
			do.sleep(5 * sec),
			do.intend(nodeC, meta.Leaving),
			do.voters(20*sec, nodeA, nodeB, nodeD),
			do.until("P13", 90*sec, "C is gone", func(s *stage) bool {
				_, named := s.registry().Node(s.cast[nodeC].id)
				return !named
			}),
			do.get(holder, "k"),
			do.start(nodeC),
			do.sleep(3 * sec),
			do.get(nodeC, "k"),
			do.until("P13", sec, "C can hear that it was removed", func(s *stage) bool { return s.banished(s.cast[nodeC]) }),
			do.losesDisk(nodeC),
			do.settled(),
		},
	},
	{
		// Who holds group 0 is not in C's registry, so C has no address for its answers, and
		// would be filled never: with what it misses comes the address.
		Name: "away while the holder of group 0 joined", From: "simulator, seed 200072 of 300 s", Steps: []Step{
			do.steady(),
			do.crash(nodeC),
			do.joins(nodeD),
			do.until("P13", 20*sec, "D is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
			do.joins(nodeE),
			do.metaVoters(20*sec, 5),
			do.holdsMeta(5*sec, nodeE),
			do.start(nodeC),
			do.until("P13", 5*sec, "C has heard of E", func(s *stage) bool {
				m := s.cast[nodeC].core.Meta()
				if m == nil {
					return false
				}
				_, named := m.Node(s.cast[nodeE].id)
				return named
			}),
			do.settled(),
		},
	},
	{
		// B still has the configuration of A, B and C when C has left it. Were C a member again
		// under its old id, with nothing of what it was, B could be elected by it, beside A.
		Name: "a late word that it is a member", From: "rethinkdb#5289", Nodes: 4, Steps: lateWord(),
	},
	{
		Name: "replaced while it was down", From: "issue 6: replace-after", Nodes: 4, Replaces: true, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.set(nodeA, "k", "2", majority),
			do.voters(30*sec, nodeA, nodeB, nodeD),
			do.until("P13", 10*sec, "C is gone", func(s *stage) bool {
				_, named := s.registry().Node(s.cast[nodeC].id)
				return !named
			}),
			do.set(nodeA, "k", "3", majority),
			do.start(nodeC),
			do.sleep(3 * sec),
			do.get(nodeC, "k"),
			do.until("P13", sec, "C can hear that it was removed", func(s *stage) bool { return s.banished(s.cast[nodeC]) }),
			do.losesDisk(nodeC),
			do.crash(nodeA),
			do.servedBy(5*sec, nodeB, nodeD),
			do.get(holder, "k"),
			do.start(nodeA),
			do.settled(),
		},
	},
	{
		Name: "back before it is replaced", From: "issue 6: replace-after", Nodes: 4, Replaces: true, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.sleep(replaceAfter - 500*ms),
			do.start(nodeC),
			do.sleep(2 * replaceAfter),
			do.voters(sec, nodeA, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		Name: "back while it is replaced", From: "issue 6: replace-after", Nodes: 4, Replaces: true, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.until("P13", 2*replaceAfter, "C is being replaced", func(s *stage) bool {
				row, _ := s.registry().Node(s.cast[nodeC].id)
				return row.Intent == meta.Leaving
			}),
			do.start(nodeC),
			do.until("P13", 10*sec, "C is to stay", func(s *stage) bool {
				row, ok := s.registry().Node(s.cast[nodeC].id)
				return ok && row.Intent == meta.Active
			}),
			do.sleep(2 * replaceAfter),
			do.until("P13", sec, "C is one of them", func(s *stage) bool {
				row, ok := s.registry().Node(s.cast[nodeC].id)
				return ok && row.Intent == meta.Active && s.cast[nodeC].runs()
			}),
			do.settled(),
		},
	},
	{
		// One node still hears C, and says so to whom has not for long: C stays. Operators want
		// no leases there, so group 0 does not go to it.
		Name: "missed by most, heard by one", From: "DESIGN 3: dead for placement", Nodes: 4, Replaces: true, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.intend(nodeD, meta.Draining),
			do.cutLinks(nodeC, nodeA, true),
			do.cutLinks(nodeC, nodeB, true),
			do.sleep(3 * replaceAfter),
			do.voters(sec, nodeA, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		// The disk that comes back is another node's, whatever its name and address: it has no
		// vote that the lost one had. A alone, with B away, must not find a majority in it.
		Name: "a wiped disk under the old name", From: "rethinkdb#5289; DESIGN 3: bootstrap", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.losesDisk(nodeC),
			do.set(nodeA, "k", "2", majority),
			do.joins(nodeD),
			do.until("P13", 5*sec, "the new node is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
			do.isolate(nodeB),
			do.sleep(3 * sec),
			do.get(nodeA, "k"),
			do.crash(nodeA),
			do.rejoin(nodeB),
			do.start(nodeA),
			do.servedBy(20*sec, nodeA, nodeB, nodeD),
			do.get(holder, "k"),
			do.intend(nodeC, meta.Leaving),
			do.voters(20*sec, nodeA, nodeB, nodeD),
			do.settled(),
		},
	},
	{
		Name: "all memory is lost, and a seat for good", From: "data-protocol T3, T6; simulator, seed 3 of 300 s", Nodes: 5, Copies: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.learns(nodeE),
			do.losesDisk(nodeE),
			do.crash(nodeA),
			do.crash(nodeB),
			do.crash(nodeC),
			do.crash(nodeD),
			do.start(nodeA),
			do.start(nodeB),
			do.start(nodeC),
			do.start(nodeD),
			do.servedBy(15*sec, nodeA, nodeB, nodeC, nodeD),
			do.set(holder, "k", "2", async),
			do.settled(),
		},
	},
	{
		Name: "two copies, from one node to four", From: "DESIGN 3: a witness on another node; simulator, seed 7 of 300 s", Nodes: 1, Copies: 2, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.joins(nodeB),
			do.sleep(3 * sec),
			do.set(holder, "k", "2", async),
			do.joins(nodeC),
			do.sleep(10 * sec),
			do.get(holder, "k"),
			do.joins(nodeD),
			do.sleep(10 * sec),
			do.set(holder, "k", "3", majority),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "drained over a restart, and back", From: "notes/leases.md e: leave", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.intend(nodeA, meta.Draining),
			do.servedBy(10*sec, nodeB, nodeC),
			do.crash(nodeA),
			do.set(holder, "k", "2", majority),
			do.start(nodeA),
			do.settled(),
			do.servedBy(time.Second, nodeB, nodeC),
			do.crash(nodeB), // one of two that may have it
			do.sleep(5 * sec),
			do.servedBy(10*sec, nodeC),
			do.start(nodeB),
			do.intend(nodeA, meta.Active),
			do.settled(),
			do.get(holder, "k"),
		},
	},
	{
		Name: "the only copy is to have no leases, and a witness has its", From: "DESIGN 3: witnesses; simulator, seed 1 of 120 s", Copies: 1, Steps: []Step{
			do.steady(),
			do.set(holder, "k", "1", async),
			do.crash(nodeA),
			do.servedBy(30*sec, nodeB, nodeC),
			do.intend(nodeA, meta.Draining),
			do.sleep(sec),
			do.start(nodeA),
			do.servedBy(60*sec, nodeA),
			do.settled(),
		},
	},
	{
		// The other witness could have no more than the first one: the copy's node takes the lease.
		Name: "two are to have no leases, the copy's node and the witness that has its", From: "DESIGN 3: witnesses; simulator, seed 101289 of 300 s", Copies: 1, Steps: []Step{
			do.steady(),
			do.set(holder, "k", "1", async),
			do.crash(nodeA),
			do.servedBy(30*sec, nodeB),
			do.intend(nodeA, meta.Draining),
			do.intend(nodeB, meta.Draining),
			do.sleep(sec),
			do.start(nodeA),
			do.servedBy(60*sec, nodeA),
			do.settled(),
		},
	},
	{
		// Nobody answers for the vote that C seems to have: with B away, A would stand.
		Name: "a voter that its node has given up", From: "simulator, seed 101205 of 300 s", Copies: 1, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.reborn(nodeC),
			do.votes(10*sec, nodeC),
			do.crash(nodeB),
			do.sleep(2 * sec),
			do.servedBy(sec, nodeA),
			do.get(nodeA, "k"),
			do.start(nodeB),
			do.settled(),
		},
	},
	{
		// With B away there is no holder to ask: A has no lease without one of them.
		Name: "a voter that its node does not know of", From: "simulator, seed 102160 of 300 s", Copies: 1, Steps: unknownVoter(nodeB, nodeA),
	},
	{
		// The holder that C would ask is gone, but B knows as well.
		Name: "a voter that its node does not know of, and the holder is gone", From: "simulator, seed 102160 of 300 s", Copies: 1, Steps: unknownVoter(nodeA, nodeB, nodeC),
	},
	{
		// Were the exchange begun it could not be ended: C's new replica is made when the old
		// one has left, and until then the group needs B.
		Name: "a voter dies just before another one is exchanged", From: "simulator, seed 122604 of 300 s", Copies: 1, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.anew(nodeC),
			do.crash(nodeB),
			do.sleep(200 * ms),
			do.triesAnew(nodeC),
			do.sleep(3 * sec),
			do.servedBy(sec, nodeA),
			do.set(nodeA, "k", "2", async),
			do.start(nodeB),
			do.settled(),
		},
	},
	{
		Name: "everything leaves the holder of all", From: "notes/leases.md e: leave", Nodes: 4, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.intend(nodeA, meta.Leaving),
			do.left(30*sec, nodeA),
			do.get(holder, "k"),
			do.set(holder, "k", "2", majority),
			do.settled(),
		},
	},
	{
		// C's copy moves to D, and A ends in the middle of that: a transfer that meets a
		// change of members may be forgotten, and the group stood for 100 ms and more.
		Name: "a lease is to move in a change of members", From: "issue 6: pauses of groups", Nodes: 4, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.slow(nodeB, nodeA, 80*ms), // the change takes longer than the move
			do.slow(nodeC, nodeA, 80*ms),
			do.intend(nodeC, meta.Leaving),
			do.changes(30*sec, nodeA),
			do.leavesCalm(nodeA),
			do.drain(nodeA),
			do.servedBy(sec, nodeB, nodeD),
			do.watching("", nil),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		// Of five voters of group 0 three are to stay, the oldest: E would be none of them.
		Name: "one leaves, and the holder of group 0 is the last of its voters", From: "DESIGN 3: group 0 has 5, 3 or 1 voters", Nodes: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.holdsMeta(5*sec, nodeE),
			do.intend(nodeB, meta.Leaving),
			do.left(30*sec, nodeB),
			do.metaVoters(10*sec, 3),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		// A hands its lease to B, whose ballot C never hears of.
		Name: "one leaves while a voter is dead", From: "issue 6: decommission", Nodes: 5, Steps: leavesBeside(nodeA, nodeC),
	},
	{
		// D has no copy yet, and the plan from the ring alone would give it B's.
		Name: "one leaves while a node is dead that has no copy", From: "issue 6: decommission", Nodes: 5, Steps: leavesBeside(nodeB, nodeD),
	},
	{
		// Of four nodes one is dead and one leaves: only two are left that could have a copy.
		// The one that leaves stays until the dead one is back.
		Name: "one leaves and nobody can take its copy", From: "issue 6: decommission", Nodes: 4, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeD),
			do.sleep(7 * sec),
			do.intend(nodeB, meta.Leaving),
			do.until("P13", 5*sec, "it is said why B stays", func(s *stage) bool { return s.waitsFor(nodeD) }),
			do.sleep(20 * sec),
			do.voters(sec, nodeA, nodeB, nodeC),
			do.set(nodeA, "k", "2", majority),
			do.start(nodeD),
			do.left(30*sec, nodeB),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "newcomer dies before it wrote anything", From: "DESIGN 3: bootstrap", Steps: newcomerDies(0),
	},
	{
		Name: "newcomer dies before it is filled", From: "DESIGN 3: bootstrap", Steps: newcomerDies(20 * ms),
	},
}

// clockScripts are about machines that sleep and clocks that go wrong.
var clockScripts = []Script{
	{
		Name: "a key is set right after a sleep", From: "DESIGN 5: TTL; simulator, seed 114 of 300 s", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.cutLinks(nodeB, nodeC, true), // nobody else is elected meanwhile
			do.suspend(nodeA, 4*sec),
			do.sleep(4 * sec),
			do.servedBy(2*sec, nodeA),
			do.setFor(nodeA, "k", "2", sec, async),
			do.sleep(500 * ms),
			do.get(nodeA, "k"),
			do.settled(),
		},
	},
	{
		Name: "the only voter hears before it looks at its clock", From: "DESIGN 5: TTL; simulator, seed 481 of 300 s", Nodes: 2, Steps: hearsFirst(),
	},
}

// hearsFirst stops the only voter of a group at many points of the time in which it
// fences a learner that has just restarted: at some of them the answer is the first
// that it hears when it goes on.
func hearsFirst() []Step {
	steps := []Step{do.steady(), do.slow(nodeB, nodeA, 5*ms)}
	for i := range 40 {
		steps = append(steps,
			do.crash(nodeB),
			do.start(nodeB),
			do.sleep(time.Duration(i)*3*ms),
			do.pause(nodeA, 2200*ms),
			do.sleep(2200*ms),
			do.servedBy(sec, nodeA),
			do.setFor(nodeA, "k", "1", sec, async),
		)
	}
	return append(steps, do.settled())
}

// lateWord has the group leave C while B is away, and C hear too late that it is a member.
func lateWord() []Step {
	return []Step{
		do.steady(),
		do.stranger(nodeD),
		do.set(nodeA, "k", "1", majority),
		do.remember(nodeC),
		do.intend(nodeC, meta.Leaving),
		do.until("P13", 5*sec, "A knows that C is leaving", func(s *stage) bool {
			row, _ := s.cast[nodeA].core.Meta().Node(s.cast[nodeC].id)
			return row.Intent == meta.Leaving
		}),
		do.isolate(nodeB),
		do.bare(40*sec, nodeC),
		do.set(nodeA, "k", "2", majority),
		do.cutLinks(nodeC, nodeA, true),
		do.cutLinks(nodeC, nodeD, true),
		do.cutLinks(nodeC, nodeB, false),
		do.toldAgain(nodeC),
		do.sleep(5 * sec),
		do.holding("P1"), // or the rest would only take its time
		do.set(nodeA, "k", "3", majority),
		do.get(nodeA, "k"),
		do.settled(),
	}
}

// unknownVoter gives C's vote to another replica of it while C is down. C makes that one only
// when it knows that the old one is none any more, and then one of the others is dead.
func unknownVoter(dead role, servers ...role) []Step {
	return []Step{
		do.steady(),
		do.set(nodeA, "k", "1", async),
		do.crash(nodeC),
		do.sleep(3 * sec), // it may have held group 0
		do.anew(nodeC),
		do.votesAnew(nodeC),
		do.sleep(sec), // both others hear that it is done
		do.crash(dead),
		do.sleep(2 * sec), // nobody has a lease any more
		do.start(nodeC),
		do.servedBy(20*sec, servers...),
		do.get(holder, "k"),
		do.start(dead),
		do.settled(),
	}
}

// leavesBeside has a node leave while another one is dead, and not replaced.
func leavesBeside(leaver, dead role) []Step {
	return []Step{
		do.steady(),
		do.member(nodeB),
		do.set(nodeA, "k", "1", majority),
		do.crash(dead),
		do.sleep(7 * sec),
		do.intend(leaver, meta.Leaving),
		do.left(30*sec, leaver),
		do.get(holder, "k"),
		do.set(holder, "k", "2", majority),
		do.start(dead),
		do.settled(),
	}
}

// newcomerDies ends a blank node some time after it was taken in.
func newcomerDies(d time.Duration) []Step {
	return []Step{
		do.steady(),
		do.joins(nodeD),
		do.until("P13", sec, "D is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
		do.deafen(nodeA, nodeD, true),
		do.sleep(d),
		do.crash(nodeD),
		do.deafen(nodeA, nodeD, false),
		do.sleep(100 * ms),
		do.start(nodeD),
		do.until("P13", 5*sec, "D has a replica of the group, or of group 0 at least", func(s *stage) bool {
			p := s.cast[nodeD]
			return p.up && p.core.Meta() != nil
		}),
		do.settled(),
	}
}
