package shardmap

import "fmt"

// Version orders all writes of one shard: epoch in the high 23 bits, sequence
// in the low 40 (data-protocol section 2). It fits a positive int64 and is never
// reused, not even after a rollback. Seq 0 of an epoch is its OPEN marker:
// "holds exactly the base of this epoch". Zero means "nothing".
type Version uint64

// Limits of the two parts of a Version.
const (
	SeqBits  = 40
	MaxSeq   = 1<<SeqBits - 1
	MaxEpoch = 1<<23 - 1
)

// MakeVersion packs an epoch and a sequence number.
func MakeVersion(epoch uint32, seq uint64) Version { return Version(uint64(epoch)<<SeqBits | seq) }

// Epoch is the epoch part.
func (v Version) Epoch() uint32 { return uint32(v >> SeqBits) }

// Seq is the sequence part, 0..2^40-1.
func (v Version) Seq() uint64 { return uint64(v) & MaxSeq }

// String is "epoch/seq", for logs and tests.
func (v Version) String() string { return fmt.Sprintf("%d/%d", v.Epoch(), v.Seq()) }
