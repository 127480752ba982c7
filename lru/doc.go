// Package lru is a byte-bounded segmented LRU store of versioned keys for one
// shard; it knows no cluster.
//
// A Store is not safe for concurrent use: its owner locks. It starts no
// goroutine, reads no clock and draws no random number, so replicas and the
// simulator replay it exactly. It never evicts by itself: Over says by how many
// bytes it is above its budget and Victim names who should go, because an
// eviction is a decision that the owner replicates. Keys can be walked by range
// of their keyed hash, the unit of snapshots and digests.
//
// Entries are records in logs that lie outside the Go heap, in memory of a Pool
// that all stores of a node share; an index of cache lines finds them. There is no
// pointer for each entry: a collection takes as long with five million entries as
// with none. The budget counts everything: segments, not the bytes used in them,
// index, ghosts, timers, large values. See DESIGN.md for the formats.
//
// Memory of a Pool is not Go's: an Entry that is read after the store's next call
// may be anybody's bytes.
//
// The contents are memory only: whatever the process loses, the Store loses.
package lru
