package sim

import "slices"

// Elsewhere are the rare places (metrics.Probe) that no cluster of the simulator comes
// to, with the reason and the test that does.
var Elsewhere = map[string]string{
	"shardgroup.epoch.renewed":         "2^40 writes to a shard; shardgroup TestSchedule54SequenceRunsOut",
	"shardgroup.follow.doubt":          "nothing damages memory here, and a copy in doubt is P10 broken; shardgroup TestADamagedCopyIsFilled",
	"shardgroup.open.without_lease":    "a lease that closes takes the takeover with it, in one thread; shardgroup TestAnOpenWithoutItsLeaseOpensNothing",
	"shardgroup.follow.ring_short":     "one seed in hundreds; shardgroup TestRingTakenBackBeforeTheRevert",
	"shardgroup.takeover.misfit":       "a copy ahead of its lineage in time, as one seed in hundreds has, must be elected; shardgroup TestACopyThatDoesNotFitGivesItselfUp",
	"shardgroup.follow.revert_differs": "the same over two takeovers in a row; shardgroup TestARevertIsJudgedByTheDigest",
	"shardgroup.fill.not_compared":     "no shard here has so many keys; shardgroup TestACopyThatDiffersEverywhereIsNotCompared",
	"shardgroup.takeover.refused":      "one seed in hundreds; shardgroup TestASourceWhoseRingGotShortIsStillACopy",
	"multiraft.conf.joint_stuck":       "one seed in hundreds; multiraft TestSchedules nobody_leaves_a_joint_configuration",
	"node.member.succeeded":            "one seed in hundreds; script \"a voter that its node has given up\"",
	"node.member.succeeded_elsewhere":  "one seed in hundreds; script \"a voter that its node does not know of\"",
	"node.question.forgotten":          "64 questions without an answer, since nodes have each other's addresses; internal/node TestQuestionsThatAreNeverAnsweredAreForgotten",
	"node.move.taken_back":             "the target stops to vote between the park and the flush of a move, milliseconds",
}

// Faults are the names of the kinds of faults that many seeds must have seen act.
func Faults(plain bool) (names []string) {
	kinds := plainFaults
	if !plain {
		kinds = append(append(kinds[:len(kinds):len(kinds)], allFaults[len(plainFaults):]...), slices.Concat(logFaults, operatorFaults, wildFaults)...)
		names = []string{"reboot", "disk error", "kept by the disk", "drained", "rumour", "crash of a newcomer", "slow disk", "broken by wild clocks", "awaited", "evicted", "log came back", "log error", "torn log", "killed in a write", "saved", "killed while it saved", "image error", "read for a while", "left", "exiled", "order leaving", "transfer by hand, done"}
		for _, i := range injuries {
			names = append(names, i.name)
		}
	}
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}
