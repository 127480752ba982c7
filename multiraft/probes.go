package multiraft

import "github.com/baxromumarov/aegisKV/internal/metrics"

// Rare places: a test run that never visits one has not tested it.
var (
	probeRevived     = metrics.NewProbe("multiraft.claim.revived")           // P4
	probeLapsed      = metrics.NewProbe("multiraft.claim.lapsed_for_good")   // R1
	probeSilent      = metrics.NewProbe("multiraft.claim.streams_silent")    // U3
	probePassedOn    = metrics.NewProbe("multiraft.claim.passed_on")         // U2
	probeRefused     = metrics.NewProbe("multiraft.claim.refused")           // R1
	probeFencedAgain = metrics.NewProbe("multiraft.claim.fenced_again")      // R2
	probeTakenBack   = metrics.NewProbe("multiraft.handover.taken_back")     // U5
	probeTermWait    = metrics.NewProbe("multiraft.fence.waited_for_term")   // F2
	probeGoneReplica = metrics.NewProbe("multiraft.fence.of_a_gone_replica") // G7
	probeReleased    = metrics.NewProbe("multiraft.fence.released_already")  // R3
	probeHoldOwed    = metrics.NewProbe("multiraft.hold.owed")               // F3
	probeHoldBlind   = metrics.NewProbe("multiraft.hold.blind")              // S2
	probeHoldShrank  = metrics.NewProbe("multiraft.hold.shrank")             // F4
	probeAckBefore   = metrics.NewProbe("multiraft.ack.before_the_fence")    // H5
	probeAckFormer   = metrics.NewProbe("multiraft.ack.of_a_former_life")    // H5
	probeAckClear    = metrics.NewProbe("multiraft.ack.bit_clear")           // H7
	probeAckStray    = metrics.NewProbe("multiraft.ack.stray_bit")           // H7
	probeBeatFormer  = metrics.NewProbe("multiraft.beat.of_a_former_life")   // H2
	probeCapRaised   = metrics.NewProbe("multiraft.beat.cap_raised")         // H3
	probeAhead       = metrics.NewProbe("multiraft.release.before_fence")    // R3
	probeDeath       = metrics.NewProbe("multiraft.death.proved")            // D4
	probeLowSupport  = metrics.NewProbe("multiraft.conf.support_low")        // G3
	probeJointStuck  = metrics.NewProbe("multiraft.conf.joint_stuck")        // G5
	probeRemoved     = metrics.NewProbe("multiraft.conf.holder_removed")     // G6
	probeAway        = metrics.NewProbe("multiraft.core.did_not_run")
	probeDisk        = metrics.NewProbe("multiraft.storage.failed")
)
