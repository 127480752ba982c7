// Package multiraft runs many raft groups on one node and turns them into
// leases and configurations; it knows no keys.
//
// It owns the raft logs, votes and configurations of every group of the node
// (group 0 included), the promises between nodes that leases are made of, and
// raft.db. The rules are those of the lease protocol: a lease is a quorum of
// node-to-node promises counted from the send time of heartbeats, fenced by a
// ballot (raft term, sub), and a new leader waits out what it hears is still
// owed to others. etcd raft's own lease reads are never used.
//
// The rules are functions of messages and of an Instant passed in (Core); the
// goroutines, clocks and the disk live in the host, clock and bolt files. What
// a group's entries mean is the business of whoever implements Data. Nothing
// here is lost by a crash: votes, logs and incarnations are always fsynced.
package multiraft
