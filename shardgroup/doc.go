// Package shardgroup is one node's copies of the cluster's data: it writes,
// reads, replicates, follows, takes over and catches up.
//
// A Node holds the replicas of all groups this node takes part in and one lane
// to and from every peer. A Replica is one group: its raft state (lineage, seats,
// solo and thin marks), its role and its shards. A shard is the unit of data: one
// mutex, one statemachine.Machine, one ring of encoded records. The rules are
// those of the data-plane protocol; their numbers (L1, F6, T9) stand beside the
// code that keeps them. DESIGN.md in this folder gives the reasons.
//
// Everything here is rule code: a function of messages and of an Instant passed
// in. It starts no goroutine, reads no clock and does no I/O; the edge asks for
// frames (NextData, NextAck) and brings them (OnData, OnAck). Calls may come from
// many goroutines; locks are taken in the order lane, replica, shard, pool, and
// the path of a client operation takes the shard's only.
//
// It must not know sockets, disks, the Redis protocol or how placement is
// decided. What can be lost: an acknowledged async write, when the holder dies
// before another seat has it; the loss is bounded, counted and reported. A
// majority write is lost only through an Open that says so (clean = false).
package shardgroup
