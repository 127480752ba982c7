package sim

import (
	"strings"

	"github.com/baxromumarov/aegisKV/shardgroup"
)

const (
	async    = shardgroup.Async
	majority = shardgroup.Majority
)

// dataScripts play data-protocol section 12 where a whole cluster can.
var dataScripts = []Script{
	{
		Name: "divergent suffix", From: "data-protocol 12: 15, 16", Steps: []Step{
			do.steady(),
			do.set(nodeA, "kept", "1", majority),
			do.set(nodeA, "gone", "1", majority),
			do.isolate(nodeA),
			do.set(nodeA, "kept", "divergent", async),
			do.set(nodeA, "made", "divergent", async),
			do.del(nodeA, "gone", async),
			do.servedBy(2*sec, nodeB, nodeC),
			do.set(holder, "other", "2", majority),
			do.get(holder, "kept"),
			do.get(holder, "made"),
			do.rejoin(nodeA),
			do.sleep(2 * sec),
			do.judge(holder),
			do.settled(),
		},
	},
	{
		Name: "a failover keeps the cache warm", From: "engine 3.8", Data: 400 << 10, Steps: []Step{
			do.steady(),
			do.readThrough(20 * sec),
			do.hitRatio("before", 4*sec),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.hitRatio("after", 4*sec),
			do.asWarm("before", "after"),
		},
	},
	{
		Name: "longest tail survives", From: "data-protocol 12: 1", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeC, true),
			do.set(nodeA, "k", "2", majority),
			do.set(nodeA, "j", "2", async),
			do.sleep(600 * ms),
			do.set(nodeA, "k", "3", async),
			do.sleep(5 * ms),
			do.crash(nodeA),
			do.led(sec, nodeC),
			do.servedBy(2*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.get(holder, "j"),
			do.settled(),
		},
	},
	{
		Name: "nobody acked", From: "data-protocol 12: 4; L4", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeB, true),
			do.hush(nodeA, nodeC, true),
			do.try(nodeA, "k", "2", majority),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "acks come too late", From: "data-protocol L4; verification M18", Steps: []Step{
			do.steady(),
			do.hush(nodeA, nodeB, true),
			do.hush(nodeA, nodeC, true),
			do.try(nodeA, "k", "slow", majority),
			do.hush(nodeA, nodeB, false),
			do.hush(nodeA, nodeC, false),
			do.sleep(100 * ms),
			do.get(nodeA, "k"),
			do.settled(),
		},
	},
	{
		Name: "solo holder dies", From: "data-protocol 12: 29", Steps: append(solo(),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.settled(),
		),
	},
	{
		Name: "solo holder opens in vain", From: "data-protocol 12: 32", Steps: append(solo(),
			do.release(nodeA),
			do.servedBy(2*sec, nodeA),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.settled(),
		),
	},
	{
		Name: "solo holder opens again", From: "data-protocol T8; simulator, seed 564 of 300 s", Steps: append(solo(),
			do.release(nodeA),
			do.servedBy(2*sec, nodeA),
			do.sleep(200*ms), // time enough to call itself back under the bound
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.settled(),
		),
	},
	{
		Name: "batch after the seal", From: "data-protocol 12: 3", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeC, true),
			do.keepFrame(nodeA, nodeB, true),
			do.begin("the late SET", nodeA, "x", "1", majority),
			do.sleep(ms),
			do.deafen(nodeA, nodeB, true),
			do.deafen(nodeA, nodeC, true),
			do.deafen(nodeB, nodeA, true),
			do.deafen(nodeC, nodeA, true),
			do.led(sec, nodeC),
			do.sleep(5 * ms), // B is sealed
			do.deafen(nodeB, nodeA, false),
			do.replay(nodeA, nodeB),
			do.servedBy(2*sec, nodeB, nodeC),
			do.get(holder, "x"),
			do.settled(),
		},
	},
	{
		Name: "two restart empty", From: "data-protocol 12: 23, 35", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeB, true),
			do.hush(nodeA, nodeC, true),
			do.crash(nodeB),
			do.crash(nodeC),
			do.start(nodeB),
			do.start(nodeC),
			do.crash(nodeA),
			do.servedBy(15*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "hole, then an older copy returns", From: "data-protocol 12: 13", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.set(nodeA, "j", "1", majority),
			do.sleep(10 * ms),
			do.isolate(nodeC),
			do.crash(nodeA),
			do.crash(nodeB),
			do.start(nodeA),
			do.start(nodeB),
			do.servedBy(15*sec, nodeA, nodeB),
			do.set(holder, "k", "2", async),
			do.sleep(100 * ms),
			do.rejoin(nodeC),
			do.sleep(2 * sec),
			do.get(holder, "j"),
			do.judge(holder),
			do.settled(),
		},
	},
	{
		Name: "a frame is lost", From: "data-protocol F2", Steps: []Step{
			do.steady(),
			do.loseFrame(nodeA, nodeB),
			do.set(nodeA, "k", "1", async),
			do.sleep(5 * ms),
			do.set(nodeA, "j", "1", async),
			do.sleep(100 * ms),
			do.settled(),
		},
	},
	{
		Name: "a frame comes twice", From: "verification F18; data-protocol F2, F3", Steps: []Step{
			do.steady(),
			do.keepFrame(nodeA, nodeB, false),
			do.set(nodeA, "k", "old", majority),
			do.set(nodeA, "k", "new", majority),
			do.sleep(5 * ms),
			do.replay(nodeA, nodeB),
			do.sleep(ms),
			do.settled(),
		},
	},
	{
		Name: "a key dies across a failover", From: "data-protocol 12: 42", Steps: []Step{
			do.steady(),
			do.setFor(nodeA, "k", "1", 1200*ms, majority),
			do.crash(nodeA),
			do.servedBy(sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.sleep(sec),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "a dead key meets a slow clock", From: "data-protocol 12: 42", Steps: []Step{
			do.steady(),
			do.wall(nodeB, -2*sec),
			do.wall(nodeC, -2*sec),
			do.setFor(nodeA, "k", "1", 500*ms, majority),
			do.sleep(900 * ms),
			do.get(nodeA, "k"),
			do.crash(nodeA),
			do.servedBy(sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "a clock goes astray", From: "DESIGN 5, TTL", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.wall(nodeA, 10*sec),
			do.servedBy(3*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.wall(nodeA, -10*sec),
			do.settled(),
		},
	},
	{
		Name: "the holder's wall clock leaps", From: "data-protocol 12: 43", Steps: []Step{
			do.steady(),
			do.setFor(nodeA, "k", "1", 5*sec, majority),
			do.wall(nodeA, 3600*sec),
			do.get(nodeA, "k"),
			do.sleep(300 * ms),
			do.get(nodeA, "k"),
			do.crash(nodeA),
			do.servedBy(sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.sleep(6 * sec),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "the new holder dies during a revert", From: "data-protocol 12: 17", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.isolate(nodeA),
			do.set(nodeA, "k", "divergent", async),
			do.set(nodeA, "made", "divergent", async),
			do.led(sec, nodeB),
			do.servedBy(2*sec, nodeB),
			do.set(nodeB, "k", "2", majority),
			do.set(nodeB, "j", "2", majority),
			do.hush(nodeB, nodeA, true),
			do.rejoin(nodeA),
			do.sleep(20 * ms),
			do.crash(nodeB),
			do.servedBy(3*sec, nodeA, nodeC),
			do.get(holder, "k"),
			do.get(holder, "j"),
			do.get(holder, "made"),
			do.settled(),
		},
	},
	{
		Name: "the holder dies during a fill", From: "data-protocol 12: 19, 24, 25", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeC),
			do.set(nodeA, "k", "2", majority),
			do.hush(nodeA, nodeC, true),
			do.start(nodeC),
			do.set(nodeA, "k", "3", majority),
			do.sleep(100 * ms),
			do.crash(nodeA),
			do.servedBy(12*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.settled(),
		},
	},
	{
		Name: "deleted during a fill", From: "replication test 31; verification M13", Steps: deletedDuringAFill(),
	},
	{
		Name: "rolling restart", From: "data-protocol 12: 33", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeB),
			do.sleep(100 * ms),
			do.start(nodeB),
			do.sleep(300 * ms),
			do.set(nodeA, "k", "2", majority),
			do.crash(nodeC),
			do.sleep(100 * ms),
			do.start(nodeC),
			do.sleep(300 * ms),
			do.set(nodeA, "k", "3", majority),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.get(holder, "k"),
			do.judge(holder),
			do.start(nodeA),
			do.settled(),
		},
	},
	{
		Name: "holder dies as it opens", From: "data-protocol 12: 8; verification M10", Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.crash(nodeA),
			do.servedBy(2*sec, nodeB, nodeC),
			do.try(holder, "k", "2", async),
			do.elected(ms, nodeB),
			do.crash(nodeB),
			do.start(nodeA),
			do.servedBy(15*sec, nodeA, nodeC),
			do.settled(),
		},
	},
}

// solo lets A write for a second while no data reaches the others.
func solo() []Step {
	steps := []Step{
		do.steady(),
		do.set(nodeA, "k", "1", majority),
		do.hush(nodeA, nodeB, true),
		do.hush(nodeA, nodeC, true),
	}
	for range 40 {
		steps = append(steps, do.try(nodeA, "k", "2", async), do.sleep(50*ms))
	}
	return steps
}

// deletedDuringAFill deletes keys of which a copy that is being filled has got some
// already: none of them may be there when it serves.
func deletedDuringAFill() []Step {
	steps := []Step{do.steady(), do.crash(nodeC)}
	keys := []string{"a", "b", "c", "d", "e", "f"}
	for _, k := range keys {
		steps = append(steps, do.set(nodeA, k, strings.Repeat(k, 300<<10), majority))
	}
	steps = append(steps, do.hushAfter(nodeA, nodeC, 3), do.start(nodeC), do.sleep(sec))
	for _, k := range keys {
		steps = append(steps, do.del(nodeA, k, majority))
	}
	return append(steps, do.hush(nodeA, nodeC, false), do.settled(), do.handOver(nodeA, nodeC), do.servedBy(5*sec, nodeC), do.settled(), do.filled(2))
}
