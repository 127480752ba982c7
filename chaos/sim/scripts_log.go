package sim

import (
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// ofMajority has A and B alone see a majority write while something is wrong with B's log.
// Then A is gone and B's power is cut: what was answered must be in B's log.
func ofMajority(trouble Step) []Step {
	return []Step{
		do.steady(),
		do.set(nodeA, "k", "1", majority),
		do.hush(nodeA, nodeC, true),
		trouble,
		do.try(nodeA, "k", "2", majority),
		do.crash(nodeA),
		do.powerCut(nodeB),
		do.back(nodeB),
		do.servedBy(20*sec, nodeB, nodeC),
		do.kept(),
		do.settled(),
	}
}

// killedAt writes something, kills B at a change of the image that is made of it, and
// brings it back.
func killedAt(change int) []Step {
	return []Step{
		do.set(nodeA, "k", fmt.Sprint("before change ", change), majority),
		do.killSaving(nodeB, change),
		do.sleep(100 * ms),
		do.start(nodeB),
		do.sleep(sec),
	}
}

// logScripts are about logs and what crashes leave of them.
var logScripts = []Script{
	{
		Name: "power cut after a majority", From: "data-protocol 12: 38", Log: wal.Fsync,
		Steps: ofMajority(do.stallLog(nodeB, true)),
	},
	{
		// The others see that A claims nothing any more, but have to wait out what they promised
		// it, and its raft leads on. It says who shall go on, at once.
		Name: "a disk that stands", From: "the suite's disk-stall, seed 221: five groups for 6 s", Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.stands(nodeA, true),
			do.servedBy(300*ms, nodeB, nodeC),
			do.set(holder, "k", "2", majority),
			do.sleep(3 * sec),
			do.get(holder, "k"),
			do.stands(nodeA, false),
			do.settled(),
		},
	},
	{
		Name: "an fsync fails", From: "verification M23", Log: wal.Fsync,
		Steps: ofMajority(do.failLog(nodeB)),
	},
	{
		Name: "in memory only", From: "data-protocol 11: 35", Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeC, true),
			do.stallLog(nodeA, true),
			do.stallLog(nodeB, true),
			do.begin("the SET", nodeA, "k", "2", async),
			do.sleep(20 * ms), // B has it
			do.powerCut(nodeA),
			do.led(2*sec, nodeC),
			do.servedBy(5*sec, nodeC),
			do.judgeRead("k"),
			do.crash(nodeC),
			do.powerCut(nodeB),
			do.back(nodeA),
			do.back(nodeB),
			do.servedBy(20*sec, nodeA, nodeB),
			do.settled(),
		},
	},
	{
		Name: "a flipped bit", From: "verification M15", Log: wal.Write, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "what will be damaged", majority),
			do.set(nodeA, "k", "what comes behind it", majority),
			do.sleep(100 * ms),
			do.crash(nodeB),
			do.flip(nodeB, "what will be damaged"),
			do.start(nodeB),
			do.settled(),
		},
	},
	{
		Name: "killed in a write", From: "verification M16", Log: wal.Write, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.begin("the SET", nodeA, "k", "a value that is long enough to be cut in two where nothing says that it goes on behind it: 0123456789 0123456789 0123456789", async),
			do.killWriting(nodeB),
			do.start(nodeB),
			do.settled(),
		},
	},
	{
		Name: "all are killed", From: "issue 5: what any level acknowledged comes back", Log: wal.Write, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.hush(nodeA, nodeB, true),
			do.hush(nodeA, nodeC, true),
			do.set(nodeA, "k", "only in A's log", async),
			do.crash(nodeA),
			do.crash(nodeB),
			do.crash(nodeC),
			do.start(nodeB),
			do.start(nodeC),
			do.sleep(2 * sec), // A's log takes longer to read
			do.start(nodeA),
			do.servedBy(5*sec, nodeA, nodeB, nodeC),
			do.holds("k", "only in A's log"),
			do.settled(),
		},
	},
	{
		Name: "a log that takes long", From: "issue 5, DESIGN 5: the only copy is being read", Copies: 1, Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.sleep(100 * ms),
			do.crash(nodeA),
			do.startReading(nodeA, 40*sec, false),
			do.sleep(45 * sec),
			do.servedBy(5*sec, nodeA, nodeB, nodeC),
			do.holds("k", "1"),
			do.settled(),
		},
	},
	{
		Name: "a log that is not read on", From: "issue 5: nobody waits for that for ever", Copies: 1, Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", async),
			do.sleep(100 * ms),
			do.crash(nodeA),
			do.startReading(nodeA, 100*sec, true),
			do.servedBy(30*sec, nodeB, nodeC),
		},
	},
	{
		Name: "killed while it saves", From: "issue 5: what an image takes over from the log", Log: wal.Write, Steps: slices.Concat(
			[]Step{
				do.steady(),
				do.set(nodeA, "k", "1", majority),
				do.save(nodeB),
			},
			killedAt(1), killedAt(2), killedAt(3), killedAt(4), killedAt(5),
			[]Step{do.settled()},
		),
	},
	{
		Name: "an image waits for the log", From: "verification M07", Log: wal.Fsync, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.stallLog(nodeB, true),
			do.try(nodeA, "k", "2", async),
			do.sleep(20 * ms), // B has it
			do.saving(nodeB),
			do.sleep(sec),
			do.powerCut(nodeB),
			do.back(nodeB),
			do.settled(),
		},
	},
	{
		Name: "a flipped bit in an image", From: "verification M15", Log: wal.Write, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "what will be damaged", majority),
			do.sleep(10 * ms), // C may have been the majority
			do.save(nodeB),
			do.crash(nodeB),
			do.flipImage(nodeB, "what will be damaged"),
			do.start(nodeB),
			do.settled(),
			do.handOver(nodeA, nodeB),
			do.servedBy(5*sec, nodeB),
			do.holds("k", "what will be damaged"),
		},
	},
	{
		Name: "all come back from images", From: "issue 5: image and log are one copy", Log: wal.Write, Steps: []Step{
			do.steady(),
			do.set(nodeA, "k", "1", majority),
			do.set(nodeA, "l", "1", majority),
			do.save(nodeA),
			do.save(nodeB),
			do.save(nodeC),
			do.set(nodeA, "l", "2", majority),
			do.del(nodeA, "k", majority),
			do.set(nodeA, "m", "only in the log", majority),
			do.crash(nodeA),
			do.crash(nodeB),
			do.crash(nodeC),
			do.start(nodeA),
			do.start(nodeB),
			do.start(nodeC),
			do.servedBy(5*sec, nodeA, nodeB, nodeC),
			do.holds("l", "2"),
			do.holds("m", "only in the log"),
			do.holds("k", ""),
			do.settled(),
		},
	},
}
