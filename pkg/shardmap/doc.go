// Package shardmap says which shard a key belongs to and which node serves it:
// the nouns that server, Redis face and clients share.
//
// A key has a Slot (0..16383, as Redis Cluster computes it). Contiguous slots
// form a Shard, the unit of data; contiguous shards form a Group, the unit of
// lease and placement. The package owns these numbers, the packed Version that
// every write gets, and the immutable Map from group to leaseholder. It must
// know neither raft nor sockets nor clocks; nothing can be lost here.
package shardmap
