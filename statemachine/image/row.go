package image

import (
	"encoding/binary"
	"errors"
)

// Errors of what an image holds. Each is wrapped into what it is of.
var (
	// ErrDamaged says that something in an image, or all of it, cannot be read any more.
	ErrDamaged = errors.New("the image is damaged")
	// ErrNewer says that a later version of aegis wrote the image.
	ErrNewer = errors.New("the image has a newer format")
	// ErrForeign says that the image is of another log, or of another number of shards.
	ErrForeign = errors.New("the image is not this node's")

	errSum   = errors.New("it fails its checksum")
	errShape = errors.New("its parts do not fit each other")
	errGone  = errors.New("it is missing")
	errStale = errors.New("the image has nothing of it that the log leads on from")
)

// Ranges is how many equal hash ranges of a shard have a digest each. A block covers some
// of them, or a part of one.
const Ranges = 1024

const rangeShift = 64 - 10

// Standing is where a copy stands.
type Standing struct {
	LSN      uint64 // the log's frames of the copy below this place are in it
	Position uint64 // version of its last record
	Floor    uint64 // version below which it holds no prefix
	Time     int64  // shard time, unix ms
}

// Row says what an image holds of a shard: blocks that were read one after the other while
// the copy stood at From, then further on, and at last at To. They and the log from From
// to To are the copy as it was at To.
type Row struct {
	Shard    uint16
	Copy     uint64 // raft id of the replica
	From, To Standing
	Digest   uint64 // of the copy at To
	Width    uint16 // ranges under one block
	Blocks   uint32
	Bytes    uint64 // of the blocks, as stored
	indexSum uint32
}

const rowBytes = 4 + 2 + 8 + 2*32 + 8 + 2 + 4 + 8 + 4

func appendStanding(b []byte, s Standing) []byte {
	b = binary.BigEndian.AppendUint64(b, s.LSN)
	b = binary.BigEndian.AppendUint64(b, s.Position)
	b = binary.BigEndian.AppendUint64(b, s.Floor)
	return binary.BigEndian.AppendUint64(b, uint64(s.Time))
}

func decodeStanding(b []byte) Standing {
	return Standing{
		LSN: binary.BigEndian.Uint64(b), Position: binary.BigEndian.Uint64(b[8:]),
		Floor: binary.BigEndian.Uint64(b[16:]), Time: int64(binary.BigEndian.Uint64(b[24:])),
	}
}

func encodeRow(r *Row) []byte {
	b := make([]byte, 4, rowBytes)
	b = binary.BigEndian.AppendUint16(b, r.Shard)
	b = binary.BigEndian.AppendUint64(b, r.Copy)
	b = appendStanding(appendStanding(b, r.From), r.To)
	b = binary.BigEndian.AppendUint64(b, r.Digest)
	b = binary.BigEndian.AppendUint16(b, r.Width)
	b = binary.BigEndian.AppendUint32(b, r.Blocks)
	b = binary.BigEndian.AppendUint64(b, r.Bytes)
	b = binary.BigEndian.AppendUint32(b, r.indexSum)
	binary.BigEndian.PutUint32(b, sum(nil, b[4:]))
	return b
}

// decodeRow reads the row that stands under a shard's key.
func decodeRow(shard uint16, b []byte) (r Row, err error) {
	if len(b) != rowBytes || binary.BigEndian.Uint32(b) != sum(nil, b[4:]) {
		return r, errSum
	}
	r.Shard, r.Copy = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint64(b[6:])
	r.From, r.To = decodeStanding(b[14:]), decodeStanding(b[46:])
	b = b[78:]
	r.Digest, r.Width, r.Blocks = binary.BigEndian.Uint64(b), binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint32(b[10:])
	r.Bytes, r.indexSum = binary.BigEndian.Uint64(b[14:]), binary.BigEndian.Uint32(b[22:])
	if r.Shard != shard || r.Width == 0 || r.Width > Ranges || r.Width&(r.Width-1) != 0 || r.To.LSN < r.From.LSN {
		return r, errShape
	}
	return r, nil
}

// entry is a block in the index of its shard. It ends where the next one begins, or
// before: what no block has is empty.
type entry struct {
	lo, gen uint64
	digest  uint64 // of what the block holds
	size    uint32 // as stored
}

const entryBytes = 8 + 8 + 8 + 4

// encodeIndex lists the blocks of a shard in the order of their ranges.
func encodeIndex(shard uint16, index []entry) []byte {
	b := make([]byte, 4, 4+len(index)*entryBytes)
	for _, e := range index {
		b = binary.BigEndian.AppendUint64(b, e.lo)
		b = binary.BigEndian.AppendUint64(b, e.gen)
		b = binary.BigEndian.AppendUint64(b, e.digest)
		b = binary.BigEndian.AppendUint32(b, e.size)
	}
	binary.BigEndian.PutUint32(b, sum(shardKey(shard), b[4:]))
	return b
}

// decodeIndex reads the index that belongs to a row.
func decodeIndex(r *Row, b []byte) ([]entry, error) {
	if len(b) < 4 || sumOf(b) != r.indexSum || sumOf(b) != sum(shardKey(r.Shard), b[4:]) {
		return nil, errSum
	}
	if b = b[4:]; len(b) != int(r.Blocks)*entryBytes {
		return nil, errShape
	}
	index := make([]entry, 0, r.Blocks)
	for ; len(b) > 0; b = b[entryBytes:] {
		e := entry{
			lo: binary.BigEndian.Uint64(b), gen: binary.BigEndian.Uint64(b[8:]),
			digest: binary.BigEndian.Uint64(b[16:]), size: binary.BigEndian.Uint32(b[24:]),
		}
		if n := len(index); n > 0 && e.lo <= index[n-1].lo {
			return nil, errShape
		}
		index = append(index, e)
	}
	return index, nil
}

func shardKey(shard uint16) []byte { return binary.BigEndian.AppendUint16(nil, shard) }

// head stands in front of an image and keeps its place in every format.
type head struct {
	format uint16
	shards uint32
	id     [16]byte
}

const (
	format    = 1
	magic     = "AEGISIMG"
	headBytes = 8 + 2 + 4 + 16 + 4
)

func encodeHead(h *head) []byte {
	b := append(make([]byte, 0, headBytes), magic...)
	b = binary.BigEndian.AppendUint16(b, h.format)
	b = binary.BigEndian.AppendUint32(b, h.shards)
	b = append(b, h.id[:]...)
	return binary.BigEndian.AppendUint32(b, sum(nil, b))
}

// decodeHead reads the head of an image; only one whose sum holds is believed to be newer.
func decodeHead(b []byte) (h head, err error) {
	if len(b) != headBytes || string(b[:8]) != magic || binary.BigEndian.Uint32(b[headBytes-4:]) != sum(nil, b[:headBytes-4]) {
		return h, errSum
	}
	h.format, h.shards = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint32(b[10:])
	copy(h.id[:], b[14:])
	if h.format > format {
		return h, ErrNewer
	}
	return h, nil
}

// decodeNumber reads one of the numbers that stand beside the head, with its sum.
func decodeNumber(key, b []byte) (uint64, error) {
	if b == nil {
		return 0, nil
	}
	if len(b) != 12 || binary.BigEndian.Uint32(b) != sum(key, b[4:]) {
		return 0, errSum
	}
	return binary.BigEndian.Uint64(b[4:]), nil
}

func encodeNumber(key []byte, n uint64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 4, 12), n)
	binary.BigEndian.PutUint32(b, sum(key, b[4:]))
	return b
}
