package wal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A mark states up to where the log was durable when it was written. It is what tells
// damage among durable frames from the remains of writes that nobody synced: below what
// a later mark states, nothing may be missing. It must be found behind damage, where the
// chain says nothing, so it proves itself: by a sum that begins with the log's id, which
// no client knows, and by its own place.
//
//	magic 8 | segment u64 | offset of its frame in the file u64 | synced LSN u64 | sum u32
const (
	markPayload = 8 + 8 + 8 + 8 + 4
	markBytes   = frameHead + markPayload
)

var markMagic = []byte("\xaewalMARK")

// mark is the payload of a mark.
type mark struct {
	segment uint64
	offset  int64
	synced  LSN
}

func appendMark(dst []byte, id [16]byte, m mark) []byte {
	start := len(dst)
	dst = append(dst, markMagic...)
	dst = binary.BigEndian.AppendUint64(dst, m.segment)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.offset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.synced))
	return binary.BigEndian.AppendUint32(dst, markSum(id, dst[start:]))
}

func markSum(id [16]byte, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(id[:], castagnoli), castagnoli, b)
}

// decodeMark reads a mark; false when it is none of this log.
func decodeMark(b []byte, id [16]byte) (m mark, ok bool) {
	if len(b) < markPayload || !bytes.HasPrefix(b, markMagic) ||
		markSum(id, b[:markPayload-4]) != binary.BigEndian.Uint32(b[markPayload-4:]) {
		return m, false
	}
	m.segment = binary.BigEndian.Uint64(b[8:])
	m.offset = int64(binary.BigEndian.Uint64(b[16:]))
	m.synced = LSN(binary.BigEndian.Uint64(b[24:]))
	return m, true
}

// findMarks is the highest synced LSN that the marks of a segment state from an offset
// on, whatever stands between them.
func findMarks(b []byte, from int64, id [16]byte, segment uint64) (synced LSN) {
	for at := int(from); ; {
		i := bytes.Index(b[min(at, len(b)):], markMagic)
		if i < 0 {
			return synced
		}
		at += i
		if m, ok := decodeMark(b[at:], id); ok && m.segment == segment && m.offset == int64(at-frameHead) {
			synced = max(synced, m.synced)
		}
		at++
	}
}
