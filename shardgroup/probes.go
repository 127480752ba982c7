package shardgroup

import "github.com/baxromumarov/aegisKV/internal/metrics"

// Rare places: a test run that never visits one has not tested it.
var (
	probeHole          = metrics.NewProbe("shardgroup.open.hole")
	probeUnclean       = metrics.NewProbe("shardgroup.open.unclean")
	probePassed        = metrics.NewProbe("shardgroup.takeover.passed_on")
	probePulled        = metrics.NewProbe("shardgroup.takeover.pulled")
	probeBulk          = metrics.NewProbe("shardgroup.takeover.bulk")
	probeRefused       = metrics.NewProbe("shardgroup.takeover.refused")
	probeGone          = metrics.NewProbe("shardgroup.takeover.source_gone")
	probeMisfit        = metrics.NewProbe("shardgroup.takeover.misfit")
	probeNoLease       = metrics.NewProbe("shardgroup.open.without_lease")
	probeReverted      = metrics.NewProbe("shardgroup.follow.reverted")
	probeRevertDiffers = metrics.NewProbe("shardgroup.follow.revert_differs")
	probeRingShort     = metrics.NewProbe("shardgroup.follow.ring_short")
	probeFilled        = metrics.NewProbe("shardgroup.follow.filled")
	probeCompared      = metrics.NewProbe("shardgroup.fill.compared")
	probeNotCompared   = metrics.NewProbe("shardgroup.fill.not_compared")
	probeGap           = metrics.NewProbe("shardgroup.follow.gap")
	probeDoubt         = metrics.NewProbe("shardgroup.follow.doubt")
	probeOffRing       = metrics.NewProbe("shardgroup.stream.off_ring")
	probeDelayed       = metrics.NewProbe("shardgroup.write.delayed")
	probeSolo          = metrics.NewProbe("shardgroup.seats.solo")
	probeAdmitted      = metrics.NewProbe("shardgroup.seats.admitted")
	probeReseated      = metrics.NewProbe("shardgroup.seats.changed")
	probeRenewed       = metrics.NewProbe("shardgroup.epoch.renewed")
	probeUnknown       = metrics.NewProbe("shardgroup.ticket.unknown")
	probePending       = metrics.NewProbe("shardgroup.ticket.pending")
	probeStaleFrame    = metrics.NewProbe("shardgroup.follow.stale_frame")
	probeUnheldGiven   = metrics.NewProbe("shardgroup.ring.unheld_dropped")
)
