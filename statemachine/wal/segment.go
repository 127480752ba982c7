package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// A segment is a head, a table, and frames (big endian):
//
//	magic 8 | format u16 | mode u8 | 0 u8 | shards u32 | log id 16 | boot id 16
//	segment u64 | LSN of its first frame u64 | synced LSN u64 | life 16 | seed u32 | sum u32
//
// The seed is the chain at the end of the segment before. Place and meaning of the head
// and its sum stay in every format, so that a newer one can be told from a damaged one.
const (
	segmentFormat = 1
	segmentHead   = 8 + 2 + 1 + 1 + 4 + 16 + 16 + 8 + 8 + 8 + 16 + 4 + 4
	segmentSuffix = ".wal"
	shardsMax     = 1 << 16 // frames name them with 16 bits
)

var segmentMagic = []byte("AEGISWAL")

// Errors of opening a log.
var (
	ErrNewer   = errors.New("wal: the log is of a newer format")
	ErrForeign = errors.New("wal: the log is of another node or another division into shards")
	ErrNone    = errors.New("wal: there is no segment of a log whose head can be read")
	errHead    = errors.New("the head of the segment is damaged")
)

// head begins a segment.
type head struct {
	mode   Mode
	shards uint32
	id     [16]byte // of the log's owner: a mixed up directory is noticed
	boot   [16]byte // of the kernel that it was written under
	number uint64
	first  LSN
	synced LSN      // when it was made
	life   [16]byte // of the owner when it was made
	seed   uint32
}

func appendHead(dst []byte, h *head) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.BigEndian.AppendUint16(dst, segmentFormat)
	dst = append(dst, byte(h.mode), 0)
	dst = binary.BigEndian.AppendUint32(dst, h.shards)
	dst = append(append(dst, h.id[:]...), h.boot[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.first))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.synced))
	dst = append(dst, h.life[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.seed)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// decodeHead reads the head of a segment. ErrNewer is said only of one whose sum holds.
func decodeHead(b []byte) (h head, err error) {
	if len(b) < segmentHead || string(b[:8]) != string(segmentMagic) ||
		crc32.Checksum(b[:segmentHead-4], castagnoli) != binary.BigEndian.Uint32(b[segmentHead-4:]) {
		return h, errHead
	}
	if f := binary.BigEndian.Uint16(b[8:]); f > segmentFormat {
		return h, fmt.Errorf("%w: %d, and this version of aegis reads up to %d; use the version that wrote it, or a newer one", ErrNewer, f, segmentFormat)
	} else if f != segmentFormat || Mode(b[10]) == Off || Mode(b[10]) > Fsync || b[11] != 0 {
		return h, errHead
	}
	h.mode, h.shards = Mode(b[10]), binary.BigEndian.Uint32(b[12:])
	if h.shards > shardsMax { // whoever reads a log that is not his makes room for so many
		return h, errHead
	}
	copy(h.id[:], b[16:])
	copy(h.boot[:], b[32:])
	h.number = binary.BigEndian.Uint64(b[48:])
	h.first = LSN(binary.BigEndian.Uint64(b[56:]))
	h.synced = LSN(binary.BigEndian.Uint64(b[64:]))
	copy(h.life[:], b[72:])
	h.seed = binary.BigEndian.Uint32(b[88:])
	return h, nil
}

// A table is the first frame of a segment: how many frames each shard had before it.
// When a part of the log cannot be read, the next table says whose frames stood there.
//
//	{ shard u16 | frames u64 }... in rising order, shards without any left out
const tableEntry = 2 + 8

func appendTable(dst []byte, counts []uint64) []byte {
	for s, n := range counts {
		if n > 0 {
			dst = binary.BigEndian.AppendUint16(dst, uint16(s))
			dst = binary.BigEndian.AppendUint64(dst, n)
		}
	}
	return dst
}

// decodeTable reads a table over counts; false when it is none.
func decodeTable(b []byte, counts []uint64) bool {
	clear(counts)
	for next := 0; len(b) > 0; b = b[tableEntry:] {
		if len(b) < tableEntry {
			return false
		}
		s, n := int(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint64(b[2:])
		if s < next || s >= len(counts) || n == 0 {
			return false
		}
		counts[s], next = n, s+1
	}
	return true
}

// segmentName is the file of a segment. Numbers are read, never compared as names.
func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, ok && err == nil && name == segmentName(n)
}
