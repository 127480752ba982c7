package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame (big endian):
//
//	sum u32 | length of the payload u32 | kind u8 | 0 u8 | shard u16 | head sum u32 | payload
//
// Both sums are CRC-32C and begin from the chain: the sum of the frame before, or the
// seed of the segment's head. The head sum covers length, kind and shard, so that of a
// frame with a damaged payload it is known whose it was and where the next one begins.
// The sum covers everything behind itself.
const (
	frameHead  = 16
	payloadMax = 256 << 20 // bytes; a longer one is a damaged head

	kindMark  Kind = 1
	kindTable Kind = 2
	kindEnd   Kind = 3 // a mark behind which its writer writes nothing more
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame writes a frame whose sums are still to be filled in by seal: the chain is
// known only when it is the frame's turn, and whoever appends holds a lock.
func appendFrame(dst []byte, kind Kind, shard uint16, payload []byte) []byte {
	var head [frameHead]byte
	binary.BigEndian.PutUint32(head[4:], uint32(len(payload)))
	head[8] = byte(kind)
	binary.BigEndian.PutUint16(head[10:], shard)
	return append(append(dst, head[:]...), payload...)
}

// seal fills the sums of a run of frames in and gives the chain after them. It counts
// the frames of each shard.
func seal(b []byte, chain uint32, counts []uint64) uint32 {
	for len(b) > 0 {
		end := frameHead + int(binary.BigEndian.Uint32(b[4:]))
		binary.BigEndian.PutUint32(b[12:], crc32.Update(chain, castagnoli, b[4:12]))
		chain = crc32.Update(chain, castagnoli, b[4:end])
		binary.BigEndian.PutUint32(b, chain)
		if Kind(b[8]) >= KindFirst {
			counts[binary.BigEndian.Uint16(b[10:])]++
		}
		b = b[end:]
	}
	return chain
}

// soundness is what can be said of the bytes where a frame should begin.
type soundness uint8

const (
	frameGood    soundness = iota
	frameShort             // they end before it does
	frameBadBody           // its head can be trusted, its payload or its sum cannot
	frameBadHead           // nothing can be trusted, the next frame may be anywhere
)

// frame is one frame of a segment as it was read.
type frame struct {
	kind     Kind
	shard    uint16
	size     int // with its head
	payload  []byte
	sum      uint32 // as it is written
	computed uint32 // as it should be; equal in a good frame
}

// decodeFrame reads the frame that begins b. The fields of the head are set when it is
// neither short of them nor bad.
func decodeFrame(b []byte, chain uint32) (f frame, s soundness) {
	if len(b) < frameHead {
		return f, frameShort
	}
	size := binary.BigEndian.Uint32(b[4:])
	if crc32.Update(chain, castagnoli, b[4:12]) != binary.BigEndian.Uint32(b[12:]) || size > payloadMax || b[9] != 0 {
		return f, frameBadHead
	}
	f.kind, f.shard, f.size = Kind(b[8]), binary.BigEndian.Uint16(b[10:]), frameHead+int(size)
	if len(b) < f.size {
		return f, frameShort
	}
	f.payload = b[frameHead:f.size:f.size]
	f.sum, f.computed = binary.BigEndian.Uint32(b), crc32.Update(chain, castagnoli, b[4:f.size])
	if f.sum != f.computed {
		return f, frameBadBody
	}
	return f, frameGood
}
