package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Lease is the claim that an operation was admitted under; *multiraft.Lease is
// one. The reply may leave only after a fresh Check of the same Lease.
type Lease interface {
	Ballot() multiraft.Ballot
	Check(mono, suspendOffset time.Duration) bool
	Closed() bool
}

// Control is what the data plane asks of multiraft. It is called only from
// Node.Pump and Node.Tick, never from within an upcall of multiraft.Data.
type Control interface {
	// Propose offers an entry as the leader of that ballot's term; false when it is not.
	Propose(g shardmap.GroupID, b multiraft.Ballot, data []byte) bool
	// OpenLease lets the lease object of the ballot serve; nil when it is closed
	// or this node no longer leads under that ballot.
	OpenLease(g shardmap.GroupID, b multiraft.Ballot) Lease
	// Transfer hands raft leadership to another node.
	Transfer(g shardmap.GroupID, to shardmap.NodeID) bool
	// Buried says that the process of a node is dead for certain and was not heard of again.
	Buried(n shardmap.NodeID) bool
}

// Out takes the effects of a Node. Its methods are called from any goroutine and
// with locks held: they must not block and must not call back into the Node.
type Out interface {
	// WakeData says that NextData(peer) has something to send.
	WakeData(peer shardmap.NodeID)
	// WakeAck says that NextAck(peer) has something to send; urgent when somebody
	// waits for it, otherwise it may be held back for a millisecond.
	WakeAck(peer shardmap.NodeID, urgent bool)
	// Control sends a frame to the peer's OnControl; loss is allowed. The frame is
	// the callee's.
	Control(peer shardmap.NodeID, frame []byte)
	// Due answers a ticket given to Await.
	Due(t Ticket, o Outcome)
	// Wake says that operations parked or delayed on the group may be tried again.
	Wake(g shardmap.GroupID)
	// Event reports a change that operators or the client face want to hear of.
	Event(e Event)
	// RolledBack brings the exact list of acknowledged or pending writes that a
	// revert undid at this node (the rollback log).
	RolledBack(r Rollback)
}

// EventKind names what happened to a group or shard.
type EventKind uint8

// Kinds of Event.
const (
	EventOpened      EventKind = iota + 1 // this node serves the group; Report says what was lost
	EventClosed                           // this node serves it no more; tracked keys are invalid
	EventOverwritten                      // a shard copy was reverted or refilled: READONLY sessions on it are broken
	EventNotWhole                         // a shard copy gave up its claim to be exact (corruption, digest)
	EventTakeover                         // this node began to collect what survived
	EventAdmitted                         // a replica's word counts again
	EventParked                           // this node is about to hand the group's lease over
	EventUnparked                         // it does not after all
	EventSeats                            // at the holder: other copies count than before; Seats says which
	EventShrunk                           // the holder evicted from a shard without a write of a client; Evicted says what
	EventFills                            // fills of other nodes' copies go on, or are over; Fills says how far
)

// Event is one change of a group or shard.
type Event struct {
	Kind   EventKind
	Group  shardmap.GroupID
	Shard  shardmap.ShardID // for EventOverwritten, EventNotWhole and EventShrunk
	Epoch  uint32
	Node   shardmap.NodeID
	Detail string
	Report []LossReport       // for EventOpened, one per shard that lost something or may have
	Base   []shardmap.Version // for EventOpened, of each shard of the group: the last version of before that survives
	Seats  []shardmap.NodeID  // for EventOpened and EventSeats: the nodes whose copies count

	Version shardmap.Version        // for EventShrunk: of the change
	Evicted []statemachine.Eviction // for EventShrunk, valid during the call
	Fills   Progress                // for EventFills
}

// Rollback is the list of writes that lost their place in the lineage.
type Rollback struct {
	Group    shardmap.GroupID
	Shard    shardmap.ShardID
	Cut      shardmap.Version // what survived
	Head     shardmap.Version // the last version that was undone
	Complete bool             // the list is exact; otherwise the ring no longer had it all
	Lost     []LostWrite
}

// LostWrite is one write that was undone.
type LostWrite struct {
	Version shardmap.Version
	Op      statemachine.Op
	Key     []byte
}
