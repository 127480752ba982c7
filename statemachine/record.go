package statemachine

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Op says what a Record does.
type Op uint8

// Ops of records. Records carry after-images only: INCR and APPEND become OpSet.
const (
	OpSet   Op = iota + 1 // Key has Value and Deadline
	OpDel                 // Key is gone
	OpMeta                // Key, at KeyVersion before, has Deadline and Version
	OpFlush               // every key is gone
	OpEvict               // only Evicted
	OpTxn                 // Value holds records of this Version that live and die together
)

// Eviction names an entry that the leaseholder evicted, or protected.
type Eviction struct {
	Hash    uint64
	Version shardmap.Version
}

// Record is one change of a shard as it travels to followers. A decoded Record
// aliases the bytes it was read from.
type Record struct {
	Version    shardmap.Version
	Prev       shardmap.Version // the version before it in this shard
	Op         Op
	Key        []byte
	Value      []byte
	Deadline   int64            // unix ms, 0 = none
	KeyVersion shardmap.Version // OpMeta: the key's version before
	Dedup      uint64           // reserved for request ids, 0 = none
	Evicted    []Eviction
	// Protected were moved to the head of the store's protected queue before anything was
	// evicted. It is for the hit ratio after a failover; nothing else rests on it.
	Protected []Eviction
}

// A record on the wire and in rings (big endian):
//
//	length u32 (of everything after it) | crc32c u32 (of everything after it)
//	op u8 | flags u8 | version u64 | prev u64 | key length u16+1 | value length u32
//	[deadline i64] [key version u64] [dedup u64] [evicted count u32] [protected count u32]
//	key value { hash u64 version u64 }... of the evicted, then of the protected
//
// The frames that carry records start with a format version; records have none.
const (
	recordHead    = 4 + 4 + 1 + 1 + 8 + 8 + 3 + 4
	flagExpires   = 1 << 0
	flagKeyVer    = 1 << 1
	flagDedup     = 1 << 2
	flagEvicted   = 1 << 3
	flagProtected = 1 << 4
	flagsKnown    = flagExpires | flagKeyVer | flagDedup | flagEvicted | flagProtected
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of Decode.
var (
	ErrShortRecord = errors.New("statemachine: record is not complete")
	ErrBadRecord   = errors.New("statemachine: record is damaged")
)

// AppendRecord writes the record behind dst.
func AppendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	var head [recordHead]byte
	dst = append(dst, head[:]...)
	h := dst[start:]
	flags := byte(0)
	h[8] = byte(r.Op)
	binary.BigEndian.PutUint64(h[10:], uint64(r.Version))
	binary.BigEndian.PutUint64(h[18:], uint64(r.Prev))
	h[26] = byte(len(r.Key) >> 16)
	binary.BigEndian.PutUint16(h[27:], uint16(len(r.Key)))
	binary.BigEndian.PutUint32(h[29:], uint32(len(r.Value)))
	if r.Deadline != 0 {
		flags |= flagExpires
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.Deadline))
	}
	if r.KeyVersion != 0 {
		flags |= flagKeyVer
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.KeyVersion))
	}
	if r.Dedup != 0 {
		flags |= flagDedup
		dst = binary.BigEndian.AppendUint64(dst, r.Dedup)
	}
	if len(r.Evicted) > 0 {
		flags |= flagEvicted
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Evicted)))
	}
	if len(r.Protected) > 0 {
		flags |= flagProtected
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Protected)))
	}
	dst = append(append(dst, r.Key...), r.Value...)
	dst = appendNames(appendNames(dst, r.Evicted), r.Protected)
	h = dst[start:]
	h[9] = flags
	binary.BigEndian.PutUint32(h, uint32(len(h)-4))
	binary.BigEndian.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return dst
}

func appendNames(dst []byte, names []Eviction) []byte {
	for _, e := range names {
		dst = binary.BigEndian.AppendUint64(dst, e.Hash)
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Version))
	}
	return dst
}

// decodeNames reads n names over those in into, and gives what follows them.
func decodeNames(into []Eviction, b []byte, n int) (names []Eviction, rest []byte) {
	for into = into[:0]; n > 0; n, b = n-1, b[16:] {
		into = append(into, Eviction{binary.BigEndian.Uint64(b), shardmap.Version(binary.BigEndian.Uint64(b[8:]))})
	}
	return into, b
}

// RecordSize is the length of the first record in b, without reading it further;
// 0 when even its length is not there.
func RecordSize(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return 4 + int(binary.BigEndian.Uint32(b))
}

// DecodeRecord reads one record into r and says how many bytes it took. r.Key and
// r.Value alias b; r.Evicted and r.Protected reuse their memory.
func DecodeRecord(b []byte, r *Record) (int, error) {
	if len(b) < recordHead {
		return 0, ErrShortRecord
	}
	size := RecordSize(b)
	if size < recordHead {
		return 0, ErrBadRecord
	}
	if len(b) < size {
		return 0, ErrShortRecord
	}
	b = b[:size:size]
	if crc32.Checksum(b[8:], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return 0, ErrBadRecord
	}
	return size, r.decodeBody(b)
}

func (r *Record) decodeBody(b []byte) error {
	flags := b[9]
	r.Op = Op(b[8])
	if r.Op < OpSet || r.Op > OpTxn || flags&^flagsKnown != 0 {
		return ErrBadRecord
	}
	r.Version = shardmap.Version(binary.BigEndian.Uint64(b[10:]))
	r.Prev = shardmap.Version(binary.BigEndian.Uint64(b[18:]))
	keyLen := int(b[26])<<16 | int(binary.BigEndian.Uint16(b[27:]))
	valueLen := int(binary.BigEndian.Uint32(b[29:]))
	rest, ok := b[recordHead:], true
	u64 := func(flag byte) (v uint64) {
		if flags&flag == 0 || !ok {
			return 0
		}
		if ok = len(rest) >= 8; ok {
			v, rest = binary.BigEndian.Uint64(rest), rest[8:]
			ok = v != 0 // a flag that says nothing: there is one form of every record
		}
		return v
	}
	r.Deadline = int64(u64(flagExpires))
	r.KeyVersion = shardmap.Version(u64(flagKeyVer))
	r.Dedup = u64(flagDedup)
	count := func(flag byte) (n int) {
		if flags&flag == 0 || !ok {
			return 0
		}
		if ok = len(rest) >= 4; ok {
			n, rest = int(binary.BigEndian.Uint32(rest)), rest[4:]
			ok = n != 0
		}
		return n
	}
	evicted, protected := count(flagEvicted), count(flagProtected)
	if !ok || len(rest) != keyLen+valueLen+16*(evicted+protected) {
		return ErrBadRecord
	}
	r.Key, r.Value = rest[:keyLen:keyLen], rest[keyLen:keyLen+valueLen:keyLen+valueLen]
	rest = rest[keyLen+valueLen:]
	r.Evicted, rest = decodeNames(r.Evicted, rest, evicted)
	r.Protected, _ = decodeNames(r.Protected, rest, protected)
	return nil
}
