package node

import "github.com/baxromumarov/aegisKV/internal/metrics"

// Rare places: a test run that never visits one has not tested it.
var (
	probeRetired       = metrics.NewProbe("node.replica.retired")
	probeUnfilled      = metrics.NewProbe("node.newcomer.back_unfilled")
	probeUnparked      = metrics.NewProbe("node.move.taken_back")
	probeAborted       = metrics.NewProbe("node.move.aborted")
	probeLapsed        = metrics.NewProbe("node.lease.lapsed")
	probeReplaced      = metrics.NewProbe("node.dead.step")
	probeYielded       = metrics.NewProbe("node.meta.yielded")
	probeSucceeded     = metrics.NewProbe("node.member.succeeded")
	probeSuccessorSeen = metrics.NewProbe("node.member.succeeded_elsewhere")
	probeForgotten     = metrics.NewProbe("node.question.forgotten")

	probeNewer       = metrics.NewProbe("node.newer.answered")
	probeRegenerated = metrics.NewProbe("node.group.regenerated")
)
