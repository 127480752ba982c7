package shardgroup

import (
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Node is all replicas of one node and the lanes to and from its peers. It
// implements multiraft.Data for the shard groups.
//
// Upcalls of multiraft, Tick, Pump, OnControl and the calls that make or drop
// replicas come from one thread; everything else may come from any goroutine.
type Node struct {
	cfg Config
}

// NewNode makes a node without replicas.
func NewNode(cfg Config, ctl Control, out Out) (*Node, error) {
	cfg, err := cfg.withDefaults()
	return &Node{cfg: cfg}, err
}

// Create makes the replica of a group that is founded now, together with
// multiraft's Core.Create: its shards are empty and whole.
func (n *Node) Create(g shardmap.GroupID, role multiraft.Role) *Replica { return nil }

// Join makes the replica of a group that exists elsewhere, or that this node had
// before it restarted: nothing in it is whole until it is filled or opens.
func (n *Node) Join(g shardmap.GroupID, role multiraft.Role) *Replica { return nil }

// Drop forgets a replica and its data; a lease it holds must have been released.
func (n *Node) Drop(g shardmap.GroupID) {}

// Replica is this node's replica of a group, nil when there is none.
func (n *Node) Replica(g shardmap.GroupID) *Replica { return nil }

// ReplicaOf is this node's replica of the group that a shard belongs to.
func (n *Node) ReplicaOf(s shardmap.ShardID) *Replica { return nil }

// Seal implements multiraft.Data.
func (n *Node) Seal(g shardmap.GroupID, b multiraft.Ballot, sealer multiraft.Member, now multiraft.Instant) []byte {
	return nil
}

// Sealed implements multiraft.Data.
func (n *Node) Sealed(g shardmap.GroupID, b multiraft.Ballot, from multiraft.Member, role multiraft.Role, state []byte, now multiraft.Instant) {
}

// GateOpen implements multiraft.Data.
func (n *Node) GateOpen(g shardmap.GroupID, b multiraft.Ballot, now multiraft.Instant) {}

// LeaseClosed implements multiraft.Data.
func (n *Node) LeaseClosed(g shardmap.GroupID, b multiraft.Ballot, reason string, now multiraft.Instant) {
}

// LeaderChanged implements multiraft.Data.
func (n *Node) LeaderChanged(g shardmap.GroupID, leader shardmap.NodeID, term uint64, now multiraft.Instant) {
}

// Applied implements multiraft.Data.
func (n *Node) Applied(g shardmap.GroupID, index uint64, data []byte, now multiraft.Instant) {}

// ConfigApplied implements multiraft.Data.
func (n *Node) ConfigApplied(g shardmap.GroupID, c multiraft.GroupConfig, now multiraft.Instant) {}

// StateSnapshot implements multiraft.Data.
func (n *Node) StateSnapshot(g shardmap.GroupID) []byte { return nil }

// StateRestore implements multiraft.Data.
func (n *Node) StateRestore(g shardmap.GroupID, state []byte, now multiraft.Instant) {}

// Healthy implements multiraft.Data.
func (n *Node) Healthy(g shardmap.GroupID) bool { return true }

// Ceiling implements multiraft.Data.
func (n *Node) Ceiling() int64 { return 0 }

// CeilingAcked implements multiraft.Data.
func (n *Node) CeilingAcked(peer shardmap.NodeID, h int64) {}

// CeilingHeard implements multiraft.Data.
func (n *Node) CeilingHeard(peer shardmap.NodeID, h int64) {}

// Tick lets time pass: tail bounds, ticket deadlines, takeovers, Admit, Seats and
// Exposure proposals, TICK frames. Every 10 ms or so; it ends with a Pump.
func (n *Node) Tick(now multiraft.Instant) {}

// Pump carries out what the upcalls since the last Pump decided (proposals, lease
// openings, transfers). Call it after every call into multiraft's Core that may
// have made upcalls, and after OnControl; it costs nothing when there is nothing.
func (n *Node) Pump(now multiraft.Instant) {}

// LaneUp says that the data connection to a peer and the ack connection back are
// up. conn rises with every connection of this ordered pair, restarts of this
// node included (incarnation counter << 32 | n will do).
func (n *Node) LaneUp(peer shardmap.NodeID, conn uint64, now multiraft.Instant) {}

// LaneDown says that connection conn to the peer is gone.
func (n *Node) LaneDown(peer shardmap.NodeID, conn uint64, now multiraft.Instant) {}

// NextData appends the next frame for the peer's data connection to buf[:0];
// empty when there is nothing to send. One caller per peer at a time.
func (n *Node) NextData(peer shardmap.NodeID, buf []byte, now multiraft.Instant) []byte { return nil }

// OnData brings a frame of the peer's data connection conn; frames of one
// connection in order.
func (n *Node) OnData(peer shardmap.NodeID, conn uint64, frame []byte, now multiraft.Instant) error {
	return nil
}

// NextAck appends the next frame for the ack connection that belongs to the
// peer's data connection; empty when there is nothing to say.
func (n *Node) NextAck(peer shardmap.NodeID, buf []byte, now multiraft.Instant) []byte { return nil }

// OnAck brings a frame of the ack connection that belongs to our data connection conn.
func (n *Node) OnAck(peer shardmap.NodeID, conn uint64, frame []byte, now multiraft.Instant) error {
	return nil
}

// OnControl brings a frame that the peer's node gave to Out.Control.
func (n *Node) OnControl(peer shardmap.NodeID, frame []byte, now multiraft.Instant) error { return nil }
