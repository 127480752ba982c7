package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Replica is this node's copy of one group.
type Replica struct{}

// Admission says under what an operation was admitted.
type Admission struct {
	Lease   Lease            // check it once more before the reply leaves
	Version shardmap.Version // of the write; for reads and no-ops the shard's position
	Holder  shardmap.NodeID  // with ErrMoved
	Wake    uint64           // with ErrParked and ErrDelayed
}

// Get looks a key up at the leaseholder. The value is appended to dst: nothing
// of the shard is touched after the call. The reply needs a fresh lease check.
func (r *Replica) Get(s shardmap.ShardID, key, dst []byte, now multiraft.Instant) (val statemachine.Value, found bool, a Admission, err error) {
	return
}

// Do executes a command at the leaseholder. level only decides whether a write is
// refused for lack of seats; to wait for acks, give Admission.Version to Await.
func (r *Replica) Do(s shardmap.ShardID, c *statemachine.Command, level Level, res *statemachine.Result, now multiraft.Instant) (Admission, error) {
	return Admission{}, nil
}

// Await registers a ticket of a write that Do admitted under lease l. It answers
// at once when it can; Waiting means that Out.Due will be called exactly once.
func (r *Replica) Await(l Lease, t Ticket, now multiraft.Instant) Outcome { return Unknown }

// Holding counts the whole seats besides the holder that hold v: WAIT's number.
// false when this node does not serve the shard under lease l any more.
func (r *Replica) Holding(l Lease, s shardmap.ShardID, v shardmap.Version) (int, bool) {
	return 0, false
}

// Head is the position of a shard that this node serves, and its lease.
func (r *Replica) Head(s shardmap.ShardID) (shardmap.Version, Lease, bool) { return 0, nil, false }

// Verdict judges a version (AEGIS.CHECK). Lost may be said by anyone; the rest
// needs the holder: Admission.Lease must be checked afresh, or ErrMoved is returned.
func (r *Replica) Verdict(s shardmap.ShardID, v shardmap.Version, now multiraft.Instant) (Verdict, Admission, error) {
	return 0, Admission{}, nil
}

// Len is the number of keys of the group's shards here.
func (r *Replica) Len() int { return 0 }

// WakeSeq rises whenever parked or delayed operations should be tried again.
func (r *Replica) WakeSeq() uint64 { return 0 }

// Lease is the lease this replica serves under, nil when it does not.
func (r *Replica) Lease() Lease { return nil }

// Holder is the node that serves the group as far as this replica knows, 0 unknown.
func (r *Replica) Holder() shardmap.NodeID { return 0 }

// Filled reports whether the node's copy is whole, acked in the own epoch up to
// all that was ever answered, and compared by digest: it may take a seat (L7).
func (r *Replica) Filled(node shardmap.NodeID) bool { return false }

// SetSeats says which nodes should have seats. The holder drives the group there
// one Seats entry at a time, each as soon as the newcomers are Filled (L8).
func (r *Replica) SetSeats(nodes []shardmap.NodeID) {}

// SetBudget changes the byte budget of each shard copy. At the holder shrinking
// evicts in bounded steps; followers follow its records.
func (r *Replica) SetBudget(bytes int64) {}

// Park holds new operations back for a planned move; false when not serving.
func (r *Replica) Park(now multiraft.Instant) bool { return false }

// Unpark lets operations in again after a move that did not happen.
func (r *Replica) Unpark(now multiraft.Instant) {}

// Flushed reports whether the node has everything: parked, and its whole copy
// acked at the head of every shard. Then multiraft may hand the lease over.
func (r *Replica) Flushed(node shardmap.NodeID) bool { return false }

// Successors lists the seats that are whole and closest to the head, best first.
func (r *Replica) Successors() []shardmap.NodeID { return nil }

// Status describes the replica.
func (r *Replica) Status(now multiraft.Instant) Status { return Status{} }
