// Package wal owns how durable the writes of one node are: the words for it
// today, the write-ahead log and its snapshots when they are built. It must know
// neither commands nor replicas: records are opaque bytes to it.
//
// This version has no log. A node keeps its data in memory only, and what it
// alone held is lost when it dies; raft's votes and leases are on disk in every
// mode.
package wal
