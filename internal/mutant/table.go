package mutant

// Bug is one seeded bug: a rule that a build with the tag "mutants" can leave out
// by name, and what must notice.
type Bug struct {
	Name     string
	Breaks   string // what is left out
	Source   string // where the rule, or the bug, is written down
	Property string // that must be seen broken: P1..P18 of verification (b), token (every lost version is judged lost, no other is), or a rule of a note

	Script string // the schedule of chaos/sim that shows it, or
	Room   string // the package with
	Test   string // the test of the room that does, because a whole cluster cannot be brought there, and
	Says   string // what that test says when the property is broken
	Run    string // the scenario of aegis-chaos run that shows it with real processes; selftest takes it before a script
	Later  string // why the bug cannot be seeded yet
}

// Sign is what a run says that has seen the property broken.
func (b *Bug) Sign() string {
	if b.Room != "" {
		return b.Says
	}
	return b.Property + ":"
}

// The notes that bugs come from.
const (
	verification = "verification (f)"
	lease        = "lease-protocol 10, models/lease"
	data         = "data-protocol, models/data"
	members      = "issue 6; rethinkdb#5289"
	clients      = "clients 1.9: client-side caching"
)

// What room tests say of the properties.
const (
	overlap = "overlaps, first" // multiraft: two nodes serve, or a lower ballot after a higher one
	rooms   = "multiraft"
	plane   = "shardgroup"
	face    = "transport/redis"
	golang  = "pkg/client"
)

// Bugs are all seeded bugs.
var Bugs = []Bug{
	{Name: "M01", Breaks: "a read asks for no lease", Source: verification, Property: "P2", Script: "cut off holder"},
	{Name: "M02", Breaks: "the lease is checked when an operation is admitted and not again before its reply", Source: verification, Property: "P2", Script: "reply after a pause"},
	{Name: "M03", Breaks: "a lease is dated from the receipt of the answer", Source: verification, Property: "P1", Script: "late ACKs"},
	{Name: "M04", Breaks: "there is no margin for drifting clocks", Source: verification, Property: "P1", Room: rooms, Test: "TestSchedules/18_", Says: overlap},
	{Name: "M05", Breaks: "a new holder does not wait out the old lease", Source: verification, Property: "P1", Script: "cut off holder"},
	{Name: "M06", Breaks: "a majority write is answered before anybody holds it", Source: verification, Property: "P8", Script: "nobody acked"},
	{Name: "M07", Breaks: "what is written is called durable before the fsync", Source: verification, Property: "P15", Script: "power cut after a majority"},
	{Name: "M08", Breaks: "a follower keeps its divergent suffix", Source: verification, Property: "P10", Script: "divergent suffix"},
	{Name: "M09", Breaks: "the cut is lower than what survived", Source: verification, Property: "P9", Script: "longest tail survives"},
	{Name: "M10", Breaks: "an epoch is served before it is persisted", Source: verification, Property: "P11", Script: "holder dies as it opens"},
	{Name: "M11", Breaks: "a gap in the stream is skipped", Source: verification, Property: "P10", Script: "a frame is lost"},
	{Name: "M12", Breaks: "a record that comes late overwrites what is newer", Source: verification, Property: "P10", Script: "a frame comes twice"},
	{Name: "M13", Breaks: "what is deleted while a copy is filled is left out of its stream", Source: verification, Property: "P10", Script: "deleted during a fill"},
	{Name: "M14", Breaks: "a TTL begins anew at the follower", Source: verification, Property: "P7", Script: "a key dies across a failover"},
	{Name: "M15", Breaks: "a frame of the log that fails its checksum is played", Source: verification, Property: "P15", Script: "a flipped bit"},
	{Name: "M16", Breaks: "a frame of the log that is not all there is played", Source: verification, Property: "P15", Script: "killed in a write", Run: "wal-cut"},
	{Name: "M17", Breaks: "the client tries a write of unknown outcome again as a new one", Source: verification, Property: "P5", Room: golang, Test: "TestNoWriteOvertakes", Says: "P5:"},
	{Name: "M18", Breaks: "a write that timed out is reported as not done", Source: verification, Property: "P14", Script: "acks come too late"},
	{Name: "M19", Breaks: "the source of a planned move serves until it hears from the target", Source: verification, Property: "P1", Script: "planned move"},
	{Name: "M20", Breaks: "elections go without PreVote and CheckQuorum", Source: verification, Property: "P13", Script: "flapping node"},
	{Name: "M21", Breaks: "each redirect leaks a connection and a goroutine", Source: verification, Property: "P16", Run: "partition-leaseholder"},
	{Name: "M22", Breaks: "a follower does not evict what its holder evicted", Source: verification, Property: "P10", Script: "a failover keeps the cache warm"},
	{Name: "M23", Breaks: "an fsync that fails is taken for one that did not", Source: verification, Property: "P15", Script: "an fsync fails", Run: "disk-error"},
	{Name: "M24", Breaks: "leases are renewed beside a data path or disk that stands", Source: verification, Property: "P13", Run: "disk-stall"},

	{Name: "receipt", Breaks: "a lease is dated from the receipt of the ACK", Source: lease, Property: "P1", Script: "late ACKs"},
	{Name: "nowait", Breaks: "holds are not waited out", Source: lease, Property: "P1", Script: "cut off holder"},
	{Name: "norestarthold", Breaks: "a restarted voter reports no hold", Source: lease, Property: "P1", Script: "voter restarts"},
	{Name: "keepbits", Breaks: "a FENCE does not clear the older grantee's bit", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/a_HB_and", Says: overlap},
	{Name: "selfforever", Breaks: "a holder that is fenced keeps its own support", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/a_fenced_holder", Says: overlap},
	{Name: "releasefirst", Breaks: "RELEASE is said before the lease is closed", Source: lease, Property: "P1", Script: "request across a release"},
	{Name: "releaseany", Breaks: "a RELEASE counts whatever its ballot", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/07_", Says: overlap},
	{Name: "releasemoves", Breaks: "a RELEASE ahead of its FENCE moves the ballot and forgets the older promise", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/RELEASE_overtakes", Says: overlap},
	{Name: "revive", Breaks: "an aborted transfer takes the released ballot again", Source: lease, Property: "R2: a closed ballot is never used again", Room: rooms, Test: "TestSchedules/06_", Says: "A serves again"},
	{Name: "holdlatest", Breaks: "a hold covers the latest grantee only", Source: lease, Property: "P1", Script: "chain of fences"},
	{Name: "nominseq", Breaks: "an ACK counts whose heartbeat was sent before the fence was acked", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/04_", Says: overlap},
	{Name: "noechoinc", Breaks: "an ACK does not say for which incarnation it is", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/05_", Says: overlap},
	{Name: "nodereleaseany", Breaks: "proof of death counts whatever the incarnation", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/13_", Says: overlap},
	{Name: "heirnewest", Breaks: "a parent that repeats its proof of death says it of the worker that runs by then", Source: lease, Property: "P1", Script: "worker dies beside its parent"},
	{Name: "volatileterm", Breaks: "a FENCE is answered before its term is durable", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/10_", Says: overlap},
	{Name: "lostvote", Breaks: "a node whose disk is new keeps its name", Source: lease, Property: "P1", Script: "voter restarts"},
	{Name: "ackfirst", Breaks: "an ACK leaves before the promise is recorded", Source: lease, Property: "P1", Script: "cut off holder"},
	{Name: "cachednow", Breaks: "a promise is dated by a clock read before the packet was in hand", Source: lease, Property: "P1", Script: "cut off holder"},
	{Name: "runtimel", Breaks: "a changed promise length is not carried by the heartbeat", Source: lease, Property: "P1", Script: "longer promise"},
	{Name: "drift-lease", Breaks: "a lease is not shortened for drift", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/18_", Says: overlap},
	{Name: "drift-wait", Breaks: "a wait is not lengthened for drift", Source: lease, Property: "F5: a wait is longer than its hold by rho", Room: rooms, Test: "TestTheWaitIsLengthened", Says: "the wait is not lengthened"},
	{Name: "confunsafe", Breaks: "a published lease survives changes of the configuration", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/21_one_voter_grew", Says: overlap},
	{Name: "autoleave", Breaks: "a leader without a lease leaves the joint configuration", Source: lease, Property: "G5: nobody leaves joint before its gate", Room: rooms, Test: "TestSchedules/20_", Says: "joint was left by nobody that holds"},
	{Name: "opaba", Breaks: "the check before the reply takes any ballot", Source: lease, Property: "P1", Script: "request across a release"},
	{Name: "nosuspend", Breaks: "the holder's expiry runs on a clock that stops in suspend", Source: lease, Property: "P1", Room: rooms, Test: "TestSchedules/15_", Says: overlap},

	{Name: "no-clamp", Breaks: "a position is not cut to the lineage", Source: data, Property: "token", Script: "hole, then an older copy returns"},
	{Name: "no-seal", Breaks: "a sealed replica takes batches of the older ballot", Source: data, Property: "P8", Script: "batch after the seal"},
	{Name: "newer-wins-in-chunk", Breaks: "what is newer than a chunk's entry stays", Source: data, Property: "P10", Script: "divergent suffix"},
	{Name: "amnesiac-counted", Breaks: "an empty copy of a new incarnation counts", Source: data, Property: "P8", Script: "two restart empty"},
	{Name: "mark-after-first-chunk", Breaks: "a copy gives up its claim after the first chunk is in", Source: data, Property: "P13", Script: "two restart empty"},
	{Name: "base-too-low", Breaks: "the base is not the best position", Source: data, Property: "P8", Script: "longest tail survives"},
	{Name: "ack-before-majority", Breaks: "one seat less than a majority is enough", Source: data, Property: "P8", Script: "nobody acked"},
	{Name: "skip-revert", Breaks: "a divergent copy is tailed without a revert", Source: data, Property: "P10", Script: "divergent suffix"},
	{Name: "seats-without-joint-count", Breaks: "majority counts the old seats alone while new ones are proposed", Source: data, Property: "P8", Room: plane, Test: "TestSchedule26", Says: "answered by the old seats alone"},
	{Name: "solo-not-declared", Breaks: "a holder alone writes beyond the bound without a word in raft", Source: data, Property: "P9", Script: "solo holder dies"},
	{Name: "stale-chunk-accepted", Breaks: "frames of an older session are taken", Source: data, Property: "P8", Script: "batch after the seal"},
	{Name: "admit-too-early", Breaks: "a copy is admitted before it is filled", Source: data, Property: "L7: an admitted copy holds all that was answered", Room: plane, Test: "TestAdmitWaitsForTheFill", Says: "a copy under way is filled"},
	{Name: "divergent-state-as-source", Breaks: "a divergent copy is a source of state", Source: data, Property: "T4: a hole where no exact copy is left", Room: plane, Test: "TestSchedule18", Says: "want [0/0 1/0] 0 1"},
	{Name: "seal-before-term-entry", Breaks: "a leader seals before the first entry of its term is applied", Source: data, Property: "token: what is on the chain is not lost", Room: plane, Test: "TestRandom", Says: "on the chain true, judged lost"},
	{Name: "gate-counts-from-base", Breaks: "what is held is counted from the base", Source: data, Property: "L3: only what W seats hold is held", Room: plane, Test: "TestGateCountsFromWhatIsHeld", Says: "node 3 has no more than"},
	{Name: "open-resets-solo", Breaks: "an Open that is never served wipes the exposure out", Source: data, Property: "P9", Script: "solo holder opens in vain"},
	{Name: "whole-before-open", Breaks: "a copy that was filled in a takeover is whole before the Open", Source: data, Property: "T5: it may have acked more than it holds", Room: plane, Test: "TestSchedule22", Says: "whole before the Open is applied"},
	{Name: "unclean-forgotten", Breaks: "an Open after an unclean one calls itself clean", Source: data, Property: "P8: thin shards open unclean", Room: plane, Test: "TestUncleanIsCarriedOn", Says: "thin [0 0 0 0]"},
	{Name: "seat-taken-by-open", Breaks: "a holder without a seat opens clean", Source: data, Property: "P8: the row says that the quorum changed", Room: plane, Test: "TestHolderWithoutASeat", Says: "clean [11 0 0 0] hole [0 0 0 0]"},
	{Name: "tail-across-a-hole-row", Breaks: "records are played over a hole's OPEN", Source: data, Property: "P10", Room: plane, Test: "TestSchedule18", Says: "row 3 has base [1/5"},
	{Name: "chunk-merges", Breaks: "a chunk merges instead of replacing its range", Source: "issue 2", Property: "P10", Script: "divergent suffix"},

	{Name: "tombstones", Breaks: "a replica that was removed comes back under its id", Source: members, Property: "P1", Script: "a late word that it is a member"},
	{Name: "two-voters", Breaks: "two nodes have two voters", Source: members, Property: "P13", Script: "two copies, from one node to four"},
	{Name: "dead-unheard", Breaks: "a node is dead when most miss it, whoever hears it", Source: members, Property: "P13", Script: "missed by most, heard by one"},
	{Name: "dead-voter-waits", Breaks: "no voter of a group changes while one that stays has not acked", Source: "issue 6", Property: "P13", Script: "one leaves while a voter is dead"},
	{Name: "missed-gets-copies", Breaks: "copies go to nodes that are missed", Source: "issue 6", Property: "P13", Script: "one leaves while a node is dead that has no copy"},
	{Name: "recover-generation", Breaks: "a group that goes on without its majority does so in the next term and epoch", Source: members, Property: "P11", Script: "the survivor was cut off, and the old nodes come back"},
	{Name: "recover-clean", Breaks: "the first Open after a lost majority calls itself clean", Source: members, Property: "P8", Script: "two of three are destroyed, and one that lagged is left"},
	{Name: "recover-unnamed", Breaks: "group 0 does not remember who was declared gone", Source: members, Property: "recover", Script: "the survivor was cut off, and the old nodes come back"},
	{Name: "recover-untold", Breaks: "groups go on before every survivor has heard what group 0 decided", Source: members, Property: "recover", Script: "group 0's survivor dies in the middle of a recovery"},
	{Name: "recover-older-heard", Breaks: "a replica answers one of a generation that it has left", Source: members, Property: "who was left behind hears nothing of the new terms", Room: rooms, Test: "TestAGroupGoesOnWithoutItsMajority", Says: "heard of the new terms"},
	{Name: "overwrite-before-mark", Breaks: "a copy is overwritten before the log says that it is", Source: members, Property: "T6: a copy that is being overwritten never comes back whole", Room: plane, Test: "TestRandom", Says: "comes back"},
	{Name: "proxy-loop", Breaks: "a gateway follows nodes that name each other for ever", Source: members, Property: "a slot that nobody serves is refused in time", Room: face, Test: "TestGatewayFollowsNoCircle", Says: "timeout"},

	{Name: "untold-loss", Breaks: "what was read under a lease that is lost stays cached", Source: clients, Property: "P19", Script: "cut off holder, cached"},
	{Name: "hits-unsaid", Breaks: "a follower does not do what hits earned", Source: "issue 4", Property: "P21", Script: "a failover keeps the cache warm"},
	{Name: "image-across-a-revert", Breaks: "an image is made on both sides of a revert", Source: "issue 5", Property: "P15: what differs is given up", Room: plane, Test: "TestCheckpoint$", Says: "Abandoned:0"},
	{Name: "cut-before-checkpoint-durable", Breaks: "the log is cut before the image that replaces it is durable", Source: "issue 5", Property: "P15", Script: "killed while it saves"},
	{Name: "image-ahead-of-the-log", Breaks: "an image is made durable before the log that it leads on from", Source: "issue 5", Property: "P15", Script: "an image waits for the log"},
	{Name: "recovering-unheard", Breaks: "a takeover does not wait for a node that says that it reads its log", Source: "issue 5", Property: "P15", Script: "a log that takes long"},
	{Name: "recovering-for-ever", Breaks: "a takeover waits for a node that reads its log and does not get on", Source: "issue 5", Property: "P13", Script: "a log that is not read on"},
	{Name: "image-sum-ignored", Breaks: "a block of an image that fails its checksum is loaded", Source: "issue 5, verification M15", Property: "P15", Script: "a flipped bit in an image"},
	{Name: "push-behind", Breaks: "what was told before a reply leaves behind it", Source: clients, Property: "P20", Room: face, Test: "TestAnInvalidationStandsBetween", Says: "not taken back"},

	{Name: "ack-before-wal", Breaks: "an ack leaves before the log has it", Source: data, Property: "P15", Script: "power cut after a majority"},
	{Name: "seal-reply-unlogged", Breaks: "a seal is answered before the log has what it states", Source: data, Property: "P8", Script: "in memory only"},
}

// Find is the bug of a name.
func Find(name string) (Bug, bool) {
	for _, b := range Bugs {
		if b.Name == name {
			return b, true
		}
	}
	return Bug{}, false
}
