package sim

import "time"

// memberScripts are about nodes that come, go and lose their disks.
var memberScripts = []Script{
	{
		Name: "removed while it was down", From: "DESIGN 3: placement; simulator, seed 8 of 300 s", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.joins(nodeD),
			do.voters(20*sec, nodeA, nodeB, nodeD),
			do.start(nodeC),
			do.sleep(2 * sec),
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
