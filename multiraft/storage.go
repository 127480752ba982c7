package multiraft

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// GroupWrite is what one group wants on disk in one batch.
type GroupWrite struct {
	Group     shardmap.GroupID
	ReplicaID uint64 // of this node in the group
	HardState *pb.HardState
	Entries   []*pb.Entry  // replace everything from Entries[0].Index on
	Snapshot  *pb.Snapshot // replaces the log up to its index
	CompactTo uint64       // entries up to here may go; 0 = none
	// Destroyed leaves nothing but a tombstone of (Group, ReplicaID).
	Destroyed bool
	// responses are stepped into raft once the batch is durable.
	responses []*pb.Message
}

// Batch is everything that one pass of the Core wants durable: one transaction.
type Batch struct {
	Groups []GroupWrite
	// Cap, when not zero, is the longest promise ever given (H3): durable before it is given.
	Cap time.Duration
	// MustSync is false when no answer depends on it.
	MustSync bool

	handed time.Duration // on Wait: when the disk got it
}

// RestoredGroup is one group as found on disk.
type RestoredGroup struct {
	Group     shardmap.GroupID
	ReplicaID uint64
	HardState *pb.HardState
	Snapshot  *pb.Snapshot
	Entries   []*pb.Entry
}

// Tombstone names a replica that must never come back.
type Tombstone struct {
	Group     shardmap.GroupID
	ReplicaID uint64
}

// Identity is what a data directory says of its node. It survives restarts;
// Inc.Counter has been raised and made durable when Load returns.
type Identity struct {
	UUID     [16]byte
	Cluster  [16]byte // zero until founded or joined
	Node     shardmap.NodeID
	Name     string
	Inc      Incarnation
	Founding []byte        // the founding record that this node acknowledged, if any
	Cap      time.Duration // longest promise ever given
	FirstRun bool          // nothing was there before
}

// Restored is all that a data directory holds for the Core, sorted by group.
type Restored struct {
	Identity   Identity
	Groups     []RestoredGroup
	Tombstones []Tombstone
}

// Storage keeps raft.db. Save is atomic and durable when it returns; an error
// is final: the node gives its leases up and stops, it never retries (a failed
// fsync may have dropped the pages it failed for).
type Storage interface {
	// Load raises the incarnation durably and reads everything.
	Load() (Restored, error)
	// Save writes a batch in one transaction.
	Save(b *Batch) error
	// SaveIdentity writes the fields of an Identity except Inc and Cap.
	SaveIdentity(id Identity) error
	// Close releases the file.
	Close() error
}
