package sim

import (
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// recoverScripts are about majorities that are gone for good, and operators who say so.
var recoverScripts = []Script{
	{
		Name: "two of three are destroyed, and the holder is left", From: "issue 6: aegis recover", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.set(nodeA, "l@1", "1", majority),
			do.losesDisk(nodeB),
			do.losesDisk(nodeC),
			do.noRecovery(nodeA, "was heard", nodeB, nodeC),
			do.unheard(),
			do.noRecovery(nodeA, "did not answer", nodeB),
			do.noRecovery(nodeA, "is not gone", nodeA, nodeB),
			do.wouldRecover(nodeA, nodeB, nodeC),
			do.recover(nodeA, nodeB, nodeC),
			do.servedBy(5*sec, nodeA),
			do.get(nodeA, "k"),
			do.judge(nodeA),
			do.set(nodeA, "k", "2", async),
			do.joins(nodeD),
			do.until("P13", 10*sec, "D is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
			do.joins(nodeE),
			do.until("P13", 10*sec, "E is taken in", func(s *stage) bool { return s.cast[nodeE].up }),
			do.voters(40*sec, nodeA, nodeD, nodeE),
			do.set(holder, "k", "3", majority),
			do.settled(),
		},
	},
	{
		// Known (multiraft/DESIGN.md): one loss is enough in this moment, for C's new vote is not
		// there before the group has left the old one behind. Operators end it.
		Name: "one is destroyed while another one's vote is exchanged", From: "simulator, seed 122604 of 300 s", Copies: 1, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.anew(nodeC),
			do.losesDisk(nodeB),
			do.triesAnew(nodeC),
			do.unheard(),
			do.until("script", sec, "the group stands", func(s *stage) bool { return s.serving() == nil }),
			do.recover(nodeA, nodeB),
			do.servedBy(5*sec, nodeA),
			do.get(nodeA, "k"),
			do.set(nodeA, "k", "2", async),
			do.settled(),
		},
	},
	{
		Name: "two of three are destroyed, and one that lagged is left", From: "issue 6: aegis recover", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeC, true),
			do.set(nodeA, "k", "2", majority),
			do.set(nodeA, "l@1", "2", majority),
			do.losesDisk(nodeA),
			do.losesDisk(nodeB),
			do.unheard(),
			do.recover(nodeC, nodeA, nodeB),
			do.servedBy(5*sec, nodeC),
			do.get(nodeC, "k"),
			do.judge(nodeC),
			do.settled(),
		},
	},
	{
		// While C was cut off, B took over and opened an epoch that C never heard of. C must
		// not mint that epoch again, and neither old node may serve what it has.
		Name: "the survivor was cut off, and the old nodes come back", From: "issue 6: aegis recover", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.isolate(nodeC),
			do.release(nodeA),
			do.servedBy(10*sec, nodeA, nodeB),
			do.set(holder, "k", "2", majority),
			do.drain(nodeA),
			do.servedBy(10*sec, nodeB),
			do.set(nodeB, "k", "3", majority),
			do.sleep(sec),
			do.losesDisk(nodeA), // so it seems
			do.losesDisk(nodeB),
			do.unheard(),
			do.recover(nodeC, nodeA, nodeB),
			do.servedBy(5*sec, nodeC),
			do.get(nodeC, "k"),
			do.judge(nodeC),
			do.set(nodeC, "k", "4", async),
			do.rejoin(nodeC),
			do.unwanted(nodeA),
			do.unwanted(nodeB),
			do.get(nodeC, "k"),
			do.judge(nodeC),
			do.settled(),
		},
	},
	{
		// Group 0 has five voters and keeps its majority; the group has three and loses it.
		Name: "a group loses its majority, group 0 does not", From: "issue 6: aegis recover", Nodes: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.member(nodeB),
			do.noRecovery(nodeA, "was heard", nodeB),
			do.losesDisk(nodeA),
			do.losesDisk(nodeB),
			do.unheard(),
			do.recover(nodeC, nodeA, nodeB),
			do.until("P13", 10*sec, "somebody serves", func(s *stage) bool { return s.serving() != nil }),
			do.get(holder, "k"),
			do.judge(holder),
			do.settled(),
		},
	},
	{
		Name: "a majority is left, so nothing has to be lost", From: "issue 6: aegis recover", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.unheard(),
			do.noRecovery(nodeA, "nothing is lost", nodeC),
			do.set(nodeA, "k", "2", majority),
			do.start(nodeC),
			do.sleep(2 * sec),
			do.noRecovery(nodeA, "was heard", nodeC),
			do.settled(),
		},
	},
	{
		Name: "a witness is left, and both copies are destroyed", From: "issue 6: aegis recover", Copies: 2, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.witness(nodeC),
			do.losesDisk(nodeA),
			do.losesDisk(nodeB),
			do.unheard(),
			do.recover(nodeC, nodeA, nodeB),
			do.servedBy(10*sec, nodeC),
			do.get(nodeC, "k"),
			do.judge(nodeC),
			do.set(nodeC, "k", "2", async),
			do.joins(nodeD),
			do.until("P13", 10*sec, "D is taken in", func(s *stage) bool { return s.cast[nodeD].up }),
			do.joins(nodeE),
			do.until("P13", 10*sec, "E is taken in", func(s *stage) bool { return s.cast[nodeE].up }),
			do.settled(),
			do.get(holder, "k"),
		},
	},
	{
		// D alone knows the newest of what was decided; E has the longer copy. Both count.
		Name: "three of five are destroyed, and two copies are left", From: "issue 6: aegis recover", Nodes: 5, Copies: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.member(nodeB),
			do.hush(nodeA, nodeC, true),
			do.set(nodeA, "k", "2", majority),
			do.losesDisk(nodeA),
			do.losesDisk(nodeB),
			do.losesDisk(nodeD),
			do.unheard(),
			do.recover(nodeE, nodeA, nodeB, nodeD),
			do.until("P13", 10*sec, "somebody serves", func(s *stage) bool { return s.serving() != nil }),
			do.get(holder, "k"),
			do.judge(holder),
			do.settled(),
		},
	},
	{
		// The group begins anew, and says of everything that it is lost.
		Name: "nobody is left who has a copy", From: "issue 6: aegis recover", Nodes: 4, Steps: []Step{
			do.steady(),
			do.stranger(nodeD),
			do.set(nodeA, "k", "1", majority),
			do.losesDisk(nodeA),
			do.losesDisk(nodeB),
			do.losesDisk(nodeC),
			do.unheard(),
			do.recover(nodeD, nodeA, nodeB, nodeC),
			do.servedBy(10*sec, nodeD),
			do.get(nodeD, "k"),
			do.judge(nodeD),
			do.set(nodeD, "k", "2", async),
			do.settled(),
		},
	},
	{
		// C goes on with the group, and with it would E with group 0. E dies in the moment in
		// which C begins: what C has must not be all that anybody remembers.
		Name: "group 0's survivor dies in the middle of a recovery", From: "reading aegis recover", Nodes: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.twoSurvivors(nodeE, nodeD),
			do.crash(nodeA), do.crash(nodeB), do.crash(nodeD),
			do.unheard(),
			do.slowDisk(nodeE, 40*ms), // what it decided is in its memory before it is on its disk
			do.recoverUntil(nodeC, "E dies when C begins", func(s *stage) bool {
				c, e := s.cast[nodeC], s.cast[nodeE]
				if end, _ := c.core.Raft().LogEnd(theGroup); end.Generation == 1 && e.up {
					e.crash()
				}
				return !e.up
			}, nodeA, nodeB, nodeD),
			do.slowDisk(nodeE, 0),
			do.sleep(2 * sec),
			do.cutLinks(nodeC, nodeA, true), do.cutLinks(nodeC, nodeB, true), do.cutLinks(nodeC, nodeD, true),
			do.start(nodeE),
			do.unwanted(nodeA), do.unwanted(nodeB), do.unwanted(nodeD),
			do.set(nodeC, "k", "2", async),
			do.get(nodeC, "k"),
			do.settled(),
		},
	},
	{
		// C goes on with everything, and E has no part. Then nobody reaches C any more, and
		// those that were declared gone come to E.
		Name: "the survivor is cut off right after, and the other had no part", From: "reading aegis recover", Nodes: 5, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.twoSurvivors(nodeD, nodeE),
			do.isolate(nodeE),
			do.intend(nodeB, meta.Draining), // so E knows less of group 0
			do.sleep(2 * sec),
			do.crash(nodeA), do.crash(nodeB), do.crash(nodeD),
			do.rejoin(nodeE),
			do.unheard(),
			do.recover(nodeC, nodeA, nodeB, nodeD),
			do.isolate(nodeC),
			do.sleep(12 * sec),
			do.unwanted(nodeA), do.unwanted(nodeB), do.unwanted(nodeD),
			do.rejoin(nodeC),
			do.set(nodeC, "k", "2", async),
			do.settled(),
		},
	},
	{
		Name: "the survivor restarts right after, and nothing is decided twice", From: "issue 6: aegis recover", Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.losesDisk(nodeB),
			do.losesDisk(nodeC),
			do.unheard(),
			do.recover(nodeA, nodeB, nodeC),
			do.crash(nodeA),
			do.start(nodeA),
			do.sleep(12 * sec),
			do.ifUnserved(nodeA, nodeB, nodeC),
			do.servedBy(20*sec, nodeA),
			do.get(nodeA, "k"),
			do.crash(nodeA),
			do.start(nodeA),
			do.servedBy(20*sec, nodeA),
			do.get(nodeA, "k"),
			do.judge(nodeA),
			do.settled(),
		},
	},
}
