package sim

import "time"

const sec = time.Second

// leaseScripts play lease-protocol section 11 where a whole cluster can.
var leaseScripts = []Script{
	{
		Name: "cut off holder", From: "lease-protocol 11: 1", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "old", majority),
			do.isolate(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.set(holder, "k", "new", majority),
			do.get(nodeA, "k"),
			do.settled(),
		},
	},
	{
		Name: "cut off holder, cached", From: "clients 1.9: client-side caching", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "old", majority),
			do.cache(nodeA, "k"),
			do.isolate(nodeA), // but not from the client
			do.servedBy(2*sec, nodeB, nodeC),
			do.set(holder, "k", "new", majority),
			do.sleep(CachedLimit + sec),
			do.settled(),
		},
	},
	{
		Name: "paused holder, cached", From: "clients 1.9: client-side caching", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "old", majority),
			do.cache(nodeA, "k"),
			do.pause(nodeA, 4*sec),
			do.servedBy(2*sec, nodeB, nodeC),
			do.set(holder, "k", "new", majority),
			do.sleep(4 * sec), // A goes on, and is asked for a sign of life first of all
			do.settled(),
		},
	},
	{
		Name: "worker dies beside its parent", From: "lease-protocol 11: 13", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.sleep(10 * ms), // everybody has it
			do.dies(nodeA),
			do.servedBy(200*ms, nodeB, nodeC), // a third of a lease
			do.set(holder, "k", "2", majority),
			do.start(nodeA),
			do.sleep(2 * sec),
			do.handOver(holder, nodeA),
			do.servedBy(sec, nodeA),
			do.sleep(sec),
			do.saidAgain(nodeA),
			do.sleep(2 * ms),
			do.isolate(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.sleep(sec),
			do.settled(),
		},
	},
	{
		Name: "late ACKs", From: "lease-protocol 11: 2", Steps: []Step{
			do.steady(),
			do.slow(nodeB, nodeA, 450*ms),
			do.slow(nodeC, nodeA, 450*ms),
			do.sleep(3 * sec),
			do.isolate(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.sleep(1 * sec),
			do.settled(),
		},
	},
	{
		Name: "chain of fences", From: "lease-protocol 11: 3", Steps: []Step{
			do.steady(),
			do.isolate(nodeA),
			do.elected(500*ms, nodeB),
			do.sleep(10 * ms),
			do.handOver(nodeB, nodeC),
			do.servedBy(2*sec, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		Name: "voter restarts", From: "lease-protocol 11: 9", Steps: []Step{
			do.steady(),
			do.promises(nodeA, 1500*ms), // longer than a takeover waits for copies
			do.sleep(sec),
			do.cutLinks(nodeA, nodeB, true),
			do.sleep(1700 * ms),
			do.crash(nodeC),
			do.sleep(10 * ms),
			do.start(nodeC),
			do.isolate(nodeA),
			do.led(sec, nodeB),
			do.servedBy(3*sec, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		Name: "voter restarts under a holder", From: "lease-protocol 11: 12", Steps: []Step{
			do.steady(),
			do.watching("A serves while its voters restart one by one", func(s *stage) bool { return s.serves(s.cast[nodeA]) }),
			do.crash(nodeC),
			do.sleep(10 * ms),
			do.start(nodeC),
			do.sleep(500 * ms),
			do.crash(nodeB), // now A lives by C's new promise
			do.sleep(2 * sec),
			do.set(nodeA, "k", "1", majority),
			do.start(nodeB),
			do.sleep(sec),
			do.watching("", nil),
			do.settled(),
		},
	},
	{
		Name: "no UDP", From: "lease-protocol 11: 23", Steps: []Step{
			do.steady(),
			do.noUDP(nodeA, nodeB),
			do.noUDP(nodeA, nodeC),
			do.noUDP(nodeB, nodeA),
			do.noUDP(nodeC, nodeA),
			do.noUDP(nodeB, nodeC),
			do.noUDP(nodeC, nodeB),
			do.sleep(400 * ms), // A is suspected
			do.servedBy(700*ms, nodeA, nodeB, nodeC),
			do.sleep(2 * sec), // the lease goes back to A
			do.watching("somebody serves by TCP alone", func(s *stage) bool { return s.serving() != nil }),
			do.sleep(5 * sec),
			do.watching("", nil),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		Name: "no UDP one way", From: "lease-protocol 11: 23", Steps: []Step{
			do.steady(),
			do.noUDP(nodeA, nodeB),
			do.noUDP(nodeA, nodeC),
			do.sleep(400 * ms), // A is suspected
			do.servedBy(700*ms, nodeA, nodeB, nodeC),
			do.sleep(2 * sec), // the lease goes back to A
			do.watching("somebody serves by TCP alone", func(s *stage) bool { return s.serving() != nil }),
			do.sleep(5 * sec),
			do.watching("", nil),
			do.settled(),
		},
	},
	{
		Name: "whole cluster restarts", From: "lease-protocol 11: 11", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeA),
			do.crash(nodeB),
			do.crash(nodeC),
			do.sleep(20 * ms),
			do.start(nodeA),
			do.start(nodeB),
			do.start(nodeC),
			do.servedBy(15*sec, nodeA, nodeB, nodeC),
			do.set(holder, "k", "2", async),
			do.settled(),
		},
	},
	{
		Name: "reply after a pause", From: "lease-protocol 11: 15", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeB, true),
			do.hush(nodeA, nodeC, true),
			do.begin("the late SET", nodeA, "k", "late", async),
			do.pause(nodeA, 2*sec),
			do.servedBy(sec, nodeB, nodeC),
			do.set(holder, "k", "2", majority),
			do.get(holder, "k"),
			do.until("script", 3*sec, "A runs again", func(s *stage) bool { return s.cast[nodeA].runs() }),
			do.reply("the late SET"),
			do.settled(),
		},
	},
	{
		Name: "longer promise", From: "lease-protocol 11: 24", Steps: []Step{
			do.steady(),
			do.promises(nodeA, 1500*ms),
			do.sleep(sec),
			do.isolate(nodeA),
			do.servedBy(3*sec, nodeB, nodeC),
			do.settled(),
		},
	},
	{
		Name: "request across a release", From: "lease-protocol 11: 26", Steps: []Step{
			do.steady(),
			do.begin("the late SET", nodeA, "k", "1", async),
			do.sleep(50 * ms),
			do.handOver(nodeA, nodeB),
			do.servedBy(sec, nodeB),
			do.set(nodeB, "k", "2", majority),
			do.handOver(nodeB, nodeA),
			do.servedBy(sec, nodeA),
			do.reply("the late SET"),
			do.settled(),
		},
	},
	{
		Name: "planned move", From: "DESIGN 5: moves and drains", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.drain(nodeA),
			do.servedBy(sec, nodeB, nodeC),
			do.sleep(100 * ms),
			do.get(nodeB, "k"),
			do.get(nodeC, "k"),
		},
	},
	{
		Name: "planned move under a request", From: "DESIGN 5: moves and drains", Steps: []Step{
			do.steady(),
			do.begin("the SET before", nodeA, "k", "1", async),
			do.begin("the SET that nobody takes", nodeA, "l", "1", async),
			do.drain(nodeA),
			do.sleep(70 * ms), // 20 ms after a tick began the move, and the target has everything
			do.answer("the SET before"),
			do.servedBy(sec, nodeB, nodeC), // though the other one waits
			do.reply("the SET that nobody takes"),
			do.set(holder, "k", "2", majority),
			do.settled(),
		},
	},
	{
		Name: "flapping node", From: "lease-protocol 11: 28; U1", Steps: flapping(),
	},
}

// flapping cuts one node off and lets it come back, again and again: nobody else
// may notice.
func flapping() []Step {
	steps := []Step{
		do.steady(),
		do.watching("A serves while only one other node is cut off", func(s *stage) bool { return s.serves(s.cast[nodeA]) }),
	}
	for range 4 {
		steps = append(steps, do.isolate(nodeC), do.sleep(4*sec), do.rejoin(nodeC), do.sleep(2*sec))
	}
	return append(steps, do.watching("", nil), do.settled())
}
