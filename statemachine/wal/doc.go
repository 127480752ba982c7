// Package wal owns how durable the writes of one node are: the words for it, and the
// node's write-ahead log. It must know neither commands nor replicas: a frame is opaque
// bytes of a shard to it, with a position that it gives back when they are logged.
//
// Encoding, chain, recovery and the log itself are functions of bytes and of an FS, so
// that crashes can be enumerated; disk.go and committer.go put files and goroutines to
// them. What is lost: in mode write, on a power cut, about the last second; nothing that
// was called durable. Damage is never stepped over in silence.
package wal
