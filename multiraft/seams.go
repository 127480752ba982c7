package multiraft

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Role says what a replica does in its raft group.
type Role uint8

// Roles of a replica: a voter votes, promises and holds data; a learner holds
// data; a witness votes and promises but holds none.
const (
	RoleVoter Role = iota + 1
	RoleLearner
	RoleWitness
)

// ReplicaDesc names one replica of a group. ID was minted by group 0 and is
// never used again, not even after the replica has gone.
type ReplicaDesc struct {
	ID   uint64
	Node shardmap.NodeID
	Role Role
}

// GroupConfig is the applied raft configuration of a group. Outgoing is not
// empty while the group is in a joint configuration.
type GroupConfig struct {
	Index    uint64 // of the entry that made it
	Voters   []ReplicaDesc
	Outgoing []ReplicaDesc
	Learners []ReplicaDesc
}

// Data is the plane that a group's leases are for. The Core calls it on its own
// thread, one call at a time; none of these may block or call back into the
// Core except where said.
type Data interface {
	// Seal closes every shard of the group below the ballot and answers this
	// replica's positions (opaque to multiraft), F3/F4 of the lease protocol. It
	// is called again for a repeated FENCE of the same ballot.
	Seal(g shardmap.GroupID, b Ballot, sealer Member, now Instant) []byte
	// Sealed brings one replica's answer (this node's own too) to the leader of b.
	Sealed(g shardmap.GroupID, b Ballot, from Member, role Role, state []byte, now Instant)
	// GateOpen says that a quorum's holds are waited out: Open may be proposed.
	GateOpen(g shardmap.GroupID, b Ballot, now Instant)
	// LeaseClosed says that the claim under b has ended (R1), before RELEASE leaves.
	LeaseClosed(g shardmap.GroupID, b Ballot, reason string, now Instant)
	// LeaderChanged says which node leads raft for the group now (0 unknown).
	LeaderChanged(g shardmap.GroupID, leader shardmap.NodeID, term uint64, now Instant)
	// Applied brings one committed entry with data, in log order.
	Applied(g shardmap.GroupID, index uint64, data []byte, now Instant)
	// ConfigApplied says that the group's raft configuration changed.
	ConfigApplied(g shardmap.GroupID, c GroupConfig, now Instant)
	// StateSnapshot is the whole raft state of the group's data plane, < 8 MiB.
	StateSnapshot(g shardmap.GroupID) []byte
	// StateRestore replaces that state by a snapshot.
	StateRestore(g shardmap.GroupID, state []byte, now Instant)
	// Healthy reports that the group's workers made progress within a heartbeat (H6).
	Healthy(g shardmap.GroupID) bool
	// Behind reports that this replica should not be the first to lead: as far as it
	// knows, others have data that it lacks, or can serve better.
	Behind(g shardmap.GroupID) bool
	// Ceiling is the largest shard time this node may use or has been told (H of
	// data-protocol section 5), unix ms; it rides on heartbeats and fence answers.
	Ceiling() int64
	// CeilingAcked says that a quorum of the voters that support this node's claim
	// have acknowledged heartbeats that carried ceilings of h or more. It is called
	// whenever the lease is published, before that can make it valid.
	CeilingAcked(g shardmap.GroupID, h int64)
	// CeilingHeard brings the ceiling of a peer's heartbeat, as its voter.
	CeilingHeard(peer shardmap.NodeID, h int64)
}

// Out takes the Core's effects.
type Out interface {
	// Control queues one frame for a peer's control connection; loss is allowed. The
	// Core writes its next frame into the same memory.
	Control(to shardmap.NodeID, frame []byte)
	// Datagram sends a lease packet, by UDP or over TCP; loss is allowed. The packet
	// is the callee's to keep, not to change.
	Datagram(to shardmap.NodeID, packet []byte, overTCP bool)
	// Append hands a batch to the append thread; Core.Appended reports its end.
	// Batches are saved in the order handed over.
	Append(b *Batch)
	// Event reports a change of the control plane that an operator would want to read.
	Event(e Event)
}

// Event is one change of the control plane.
type Event struct {
	Kind   EventKind
	Group  shardmap.GroupID
	Ballot Ballot
	Node   shardmap.NodeID // the node it is about: holder, leader, suspect
	Detail string
	Until  time.Duration // of EventLeaseEnded: the last deadline of the lease, on Instant.Mono
}

// EventKind names what happened.
type EventKind uint8

// Kinds of Event.
const (
	EventLeader     EventKind = iota + 1 // a raft leader is known
	EventFencing                         // this node fences
	EventGateOpen                        // holds are waited out
	EventLeaseOpen                       // this node serves
	EventLeaseEnded                      // this node serves no more
	EventSuspect                         // a holder is suspected
	EventConfig                          // a configuration was applied
	EventStuck                           // a joint configuration does not end
	EventFatal                           // storage failed: leases are given up, the node must stop
)
