package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Verdict is what became of a version.
type Verdict uint8

// Verdicts.
const (
	VerdictUnknown Verdict = iota // too old to say, or never issued here
	VerdictLost                   // final
	VerdictPending                // in the holder's copy, not yet held by W seats
	VerdictDurable                // held by W seats
)

func (v Verdict) String() string {
	return [...]string{"unknown", "lost", "pending", "durable"}[v]
}

// LossReport is what a takeover knows of the writes it could not save (T10).
type LossReport struct {
	Shard   shardmap.ShardID
	Base    shardmap.Version // the last version of earlier epochs that survives
	AtLeast uint64           // versions known to have been issued above the base
	Bounded bool             // at most the tail bound; otherwise the loss has no bound
	Clean   bool             // no majority write can be among them
	Hole    bool             // the shard opened empty
}

// Phase is what a replica is doing.
type Phase uint8

// Phases of a Replica.
const (
	Following Phase = iota + 1
	Collecting
	Opening
	Serving
	Parked // serving, but new operations are held back for a handover
)

func (p Phase) String() string {
	return [...]string{"", "following", "collecting", "opening", "serving", "parked"}[p]
}

// ShardStatus is one shard of a Status.
type ShardStatus struct {
	Shard     shardmap.ShardID
	Position  shardmap.Version
	Held      shardmap.Version
	Whole     bool
	Time      int64 // shard time T
	Keys      int
	Bytes     int64
	TailBytes int64
	RingBytes int64
	Solo      bool
	Thin      bool
}

// FollowerStatus is one follower of a served group.
type FollowerStatus struct {
	Node     shardmap.NodeID
	Inc      multiraft.Incarnation
	Seat     bool // its word counts now
	Whole    bool // every shard is whole
	CaughtUp bool // every shard is acked at the head, or at what it was within the last second
	Lag      int64
}

// Status is a replica at a glance.
type Status struct {
	Group     shardmap.GroupID
	Phase     Phase
	Role      multiraft.Role
	Promised  multiraft.Ballot
	Epoch     uint32          // of the last row applied here
	Holder    shardmap.NodeID // of that row
	Seats     []multiraft.Member
	Shards    []ShardStatus
	Followers []FollowerStatus
	Report    []LossReport // of the last row
	Clean     bool         // of the last row, in every shard
	Rows      int
	FillRate  int64 // bytes a second that it sends of fills of the group, now
}

// Usage is what a node's data plane holds beside the stores, and its limits.
type Usage struct {
	RingBytes int64 // lent to rings
	RingMost  int64 // the limit, or one block for each shard copy and one more
	TailBytes int64 // records that W seats do not hold yet
	Tickets   int   // replies that wait for acks
	// CatchUpBytes is what was sent so far to copies that were reverted or filled, the
	// records meanwhile included.
	CatchUpBytes int64
}
