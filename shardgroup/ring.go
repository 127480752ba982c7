package shardgroup

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// ring keeps the latest records of a shard, encoded as they go over the wire.
// Logical offsets count its bytes since it was made; a follower is one offset.
//
// Invariant: the records are contiguous (each one's prev is the version before
// it), the first one's prev is low, the last one's version is the shard's
// position. An empty ring has low = position.
type ring struct {
	blocks []*block // oldest first
	end    uint64   // logical offset after the last record
	low    shardmap.Version
}

// Offsets inside an encoded record (see statemachine.Record).
const (
	recordOp      = 8
	recordVersion = 10
	recordPrev    = 18
	recordHead    = 33
	recordExtra   = 32 // deadline, key version, dedup, counts of evicted and protected
)

func versionOf(rec []byte) shardmap.Version {
	return shardmap.Version(binary.BigEndian.Uint64(rec[recordVersion:]))
}

func prevOf(rec []byte) shardmap.Version {
	return shardmap.Version(binary.BigEndian.Uint64(rec[recordPrev:]))
}

// start is the logical offset of the oldest record.
func (r *ring) start() uint64 {
	if len(r.blocks) == 0 {
		return r.end
	}
	return r.blocks[0].base
}

// reserve gives room for need bytes behind the last record.
func (r *ring) reserve(s *shard, need int) []byte {
	if n := len(r.blocks); n > 0 {
		b := r.blocks[n-1]
		if cap(b.buf)-len(b.buf) >= need {
			return b.buf[len(b.buf):len(b.buf):cap(b.buf)]
		}
	}
	b := s.pool.take(s, need)
	b.base = r.end
	r.blocks = append(r.blocks, b)
	return b.buf[:0]
}

// aheadBytes is what most records take.
const aheadBytes = 256

// ahead is where the next record is going to be written, if that is in the last block.
func (r *ring) ahead() []byte {
	if len(r.blocks) == 0 {
		return nil
	}
	b := r.blocks[len(r.blocks)-1].buf
	return b[len(b):min(cap(b), len(b)+aheadBytes)]
}

// commit makes the n bytes written into reserve's room the last record.
func (r *ring) commit(n int) {
	b := r.blocks[len(r.blocks)-1]
	b.buf = b.buf[:len(b.buf)+n]
	r.end += uint64(n)
}

// add appends an encoded record.
func (r *ring) add(s *shard, rec []byte) {
	copy(r.reserve(s, len(rec))[:len(rec)], rec)
	r.commit(len(rec))
}

// skip empties the ring at the version of a record that nobody will ask for.
func (r *ring) skip(s *shard, v shardmap.Version) {
	if len(r.blocks) > 0 {
		r.reset(s, v)
	}
	r.low = v
}

// dropOldest forgets the oldest block; the pool has it already or takes it next.
// The others move up, once per block: cut off in front, the slice would be
// allocated anew again and again.
func (r *ring) dropOldest() {
	r.low = lastVersion(r.blocks[0].buf)
	n := copy(r.blocks, r.blocks[1:])
	r.blocks[n] = nil
	r.blocks = r.blocks[:n]
}

func lastVersion(buf []byte) shardmap.Version {
	for {
		n := statemachine.RecordSize(buf)
		if n >= len(buf) {
			return versionOf(buf)
		}
		buf = buf[n:]
	}
}

// reset empties the ring at a position.
func (r *ring) reset(s *shard, at shardmap.Version) {
	for _, b := range r.blocks {
		s.pool.give(b)
	}
	clear(r.blocks)
	r.blocks, r.low = r.blocks[:0], at
}

// bytes is what the ring's records take.
func (r *ring) bytes() int64 { return int64(r.end - r.start()) }

// from is the run of records that begins at a logical offset, as far as it is
// contiguous in memory; nil at the end.
func (r *ring) from(off uint64) []byte {
	for i := len(r.blocks) - 1; i >= 0; i-- {
		if b := r.blocks[i]; off >= b.base {
			return b.buf[off-b.base:]
		}
	}
	return nil
}

// find is the offset of the record that follows position v; false when the ring
// does not reach back to it.
func (r *ring) find(v, position shardmap.Version) (uint64, bool) {
	if v == position {
		return r.end, true
	}
	for i := len(r.blocks) - 1; i >= 0; i-- {
		b := r.blocks[i]
		if len(b.buf) == 0 || prevOf(b.buf) > v {
			continue
		}
		off := b.base
		for buf := b.buf; len(buf) > 0; {
			if prevOf(buf) == v {
				return off, true
			}
			n := statemachine.RecordSize(buf)
			buf, off = buf[n:], off+uint64(n)
		}
		return 0, false
	}
	return 0, false
}

// opOpen marks the OPEN record of an epoch: seq 0, prev = the base. It has the
// layout of a record without key or value, but it is no statemachine record.
const opOpen = 0xF0

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendOpen writes the OPEN record of an epoch.
func appendOpen(dst []byte, epoch uint32, base shardmap.Version) []byte {
	var rec [recordHead]byte
	binary.BigEndian.PutUint32(rec[:], recordHead-4)
	rec[recordOp] = opOpen
	binary.BigEndian.PutUint64(rec[recordVersion:], uint64(shardmap.MakeVersion(epoch, 0)))
	binary.BigEndian.PutUint64(rec[recordPrev:], uint64(base))
	binary.BigEndian.PutUint32(rec[4:], crc32.Checksum(rec[8:], castagnoli))
	return append(dst, rec[:]...)
}

// checkOpen says whether bytes that begin like an OPEN record are one.
func checkOpen(rec []byte) bool {
	return len(rec) == recordHead && versionOf(rec).Seq() == 0 &&
		binary.BigEndian.Uint32(rec[4:]) == crc32.Checksum(rec[8:], castagnoli)
}
