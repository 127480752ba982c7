package statemachine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// An entry in a chunk or in the answer to a revert:
//
//	version u64 | deadline i64 | flag and key length u24 | value length u32 | key | value
const (
	entryHead      = 8 + 8 + 3 + 4
	entryProtected = 0x80 // in the first byte of the key's length
)

// ErrBadChunk says that bytes of a bulk copy cannot be read.
var ErrBadChunk = errors.New("statemachine: chunk is damaged")

func appendEntry(dst []byte, e lru.Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Deadline))
	flags := byte(len(e.Key) >> 16)
	if e.Protected {
		flags |= entryProtected
	}
	dst = append(dst, flags, byte(len(e.Key)>>8), byte(len(e.Key)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Value)))
	return append(append(dst, e.Key...), e.Value...)
}

func decodeEntry(b []byte) (e lru.Entry, rest []byte, err error) {
	if len(b) < entryHead {
		return e, nil, ErrBadChunk
	}
	e.Version = binary.BigEndian.Uint64(b)
	e.Deadline = int64(binary.BigEndian.Uint64(b[8:]))
	e.Protected = b[16]&entryProtected != 0
	keyLen := int(b[16]&^entryProtected)<<16 | int(b[17])<<8 | int(b[18])
	valueLen := int(binary.BigEndian.Uint32(b[19:]))
	if b = b[entryHead:]; keyLen+valueLen > len(b) {
		return e, nil, ErrBadChunk
	}
	e.Key, e.Value = b[:keyLen:keyLen], b[keyLen:keyLen+valueLen]
	return e, b[keyLen+valueLen:], nil
}

// Chunk appends the entries of a hash range that starts at lo, dead ones left
// out, and is as long as fits into sizeMax bytes; only what stands under a single
// hash is never cut. It answers the last hash covered; ^uint64(0) means that the
// walk is over.
func (m *Machine) Chunk(lo uint64, sizeMax int, dst []byte) (b []byte, hi uint64) {
	return m.ChunkWithin(lo, ^uint64(0), sizeMax, dst)
}

// ChunkWithin is Chunk for the hash range [lo, last]; last as the last hash covered means
// that the walk is over.
func (m *Machine) ChunkWithin(lo, last uint64, sizeMax int, dst []byte) (b []byte, hi uint64) {
	start, step := len(dst), m.chunkStep()
	for {
		before := len(dst)
		hi = min(last, lo|(step-1))
		var fits bool
		if dst, fits = m.appendUpTo(lo, hi, sizeMax-(before-start), dst); !fits {
			dst = dst[:before]
			if before > start {
				return dst, lo - 1
			}
			hi = m.cutRange(lo, hi, sizeMax)
			return m.AppendRange(lo, hi, dst), hi
		}
		if hi == last || len(dst)-start >= sizeMax {
			return dst, hi
		}
		lo = hi + 1
	}
}

// appendUpTo is AppendRange as long as that is no more than room bytes; what it appended
// is of no use when it says that it is more.
func (m *Machine) appendUpTo(lo, hi uint64, room int, dst []byte) (b []byte, fits bool) {
	fits = true
	m.store.Range(lo, hi, func(e lru.Entry) bool {
		if dead(e.Deadline, m.time) {
			return true
		}
		if room -= entryHead + len(e.Key) + len(e.Value); room < 0 {
			fits = false
			return false
		}
		dst = appendEntry(dst, e)
		return true
	})
	return dst, fits
}

// chunkStep is the width of the hash ranges that a chunk is made of: about 16 to
// 48 entries each.
func (m *Machine) chunkStep() uint64 {
	step := uint64(1) << 63
	for n := m.store.Len() / 16; n > 2 && step > 1<<40; n /= 2 {
		step >>= 1
	}
	return step
}

// cutRange is the end of the longest part of [lo, hi] that fits into room bytes,
// and holds one hash at least.
func (m *Machine) cutRange(lo, hi uint64, room int) uint64 {
	type part struct {
		hash uint64
		size int
	}
	var parts []part
	m.store.Range(lo, hi, func(e lru.Entry) bool {
		if !dead(e.Deadline, m.time) {
			parts = append(parts, part{e.Hash, entryHead + len(e.Key) + len(e.Value)})
		}
		return true
	})
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.hash, b.hash) })
	for i, p := range parts {
		if room -= p.size; room < 0 && p.hash != parts[0].hash {
			return parts[i].hash - 1
		}
	}
	return hi
}

// AppendRange appends the live entries of the hash range [lo, hi] exactly, in the
// form that ReplaceRange takes. With lo = hi it is the answer to a replica that
// must revert what it did to one hash.
func (m *Machine) AppendRange(lo, hi uint64, dst []byte) []byte {
	m.store.Range(lo, hi, func(e lru.Entry) bool {
		if !dead(e.Deadline, m.time) {
			dst = appendEntry(dst, e)
		}
		return true
	})
	return dst
}

// ReplaceRange makes the hash range [lo, hi] hold exactly the entries of a
// chunk, whatever it held before: "newer wins" would keep divergent keys. The
// chunk is checked whole before anything changes.
func (m *Machine) ReplaceRange(lo, hi uint64, chunk []byte) error {
	return m.takeIn(lo, hi, chunk, !mutant.Is("chunk-merges") && !mutant.Is("newer-wins-in-chunk"))
}

// LoadRange is ReplaceRange for a range that is known to be empty.
func (m *Machine) LoadRange(lo, hi uint64, chunk []byte) error {
	return m.takeIn(lo, hi, chunk, false)
}

// hashScratch has room for the hashes of a chunk. All machines share it: there are as many
// of them as shards, and few take a chunk in at once.
var hashScratch = sync.Pool{New: func() any { return new([]uint64) }}

// takeIn checks a chunk, and stores its entries, after those that are in the range have gone.
func (m *Machine) takeIn(lo, hi uint64, chunk []byte, clears bool) error {
	hashes := hashScratch.Get().(*[]uint64)
	defer hashScratch.Put(hashes)
	var err error
	if *hashes, err = m.checkChunk(lo, hi, chunk, (*hashes)[:0]); err != nil {
		return err
	}
	if clears {
		m.clearRange(lo, hi)
	}
	m.putChunk(lo, hi, chunk, *hashes)
	return nil
}

// checkChunk checks a chunk and appends the hashes of its entries.
func (m *Machine) checkChunk(lo, hi uint64, chunk []byte, hashes []uint64) ([]uint64, error) {
	for rest := chunk; len(rest) > 0; {
		e, next, err := decodeEntry(rest)
		if err != nil {
			return hashes, err
		}
		h := m.Hash(e.Key)
		if h < lo || h > hi || e.Version == 0 || oversized(e.Key, e.Value) {
			return hashes, ErrBadChunk
		}
		hashes = append(hashes, h)
		rest = next
	}
	return hashes, nil
}

// putChunk stores the entries of a chunk that was just checked.
func (m *Machine) putChunk(lo, hi uint64, chunk []byte, hashes []uint64) {
	m.store.Reserve(lo, hi, len(hashes))
	for _, h := range hashes {
		e, rest, _ := decodeEntry(chunk)
		chunk = rest
		if mutant.Is("newer-wins-in-chunk") && m.holdsNewer(e) {
			continue
		}
		e.Hash = h
		m.put(e)
	}
}

// EachEntry calls yield for the entries of a chunk. Keys and values alias it.
func EachEntry(chunk []byte, yield func(key, value []byte, v shardmap.Version, deadline int64)) error {
	for len(chunk) > 0 {
		e, rest, err := decodeEntry(chunk)
		if err != nil {
			return err
		}
		yield(e.Key, e.Value, shardmap.Version(e.Version), e.Deadline)
		chunk = rest
	}
	return nil
}

// ChunkDigest is the XOR that the entries of a chunk are in the digest of who holds them;
// hashKey is the cluster's. The chunk is one that was just made.
func ChunkDigest(hashKey uint64, chunk []byte) (digest uint64) {
	for len(chunk) > 0 {
		e, rest, err := decodeEntry(chunk)
		if err != nil {
			return 0
		}
		digest ^= digestEntry(lru.Hash(hashKey, e.Key), e.Version, e.Deadline)
		chunk = rest
	}
	return digest
}

// holdsNewer is what the seeded bug newer-wins-in-chunk asks.
func (m *Machine) holdsNewer(e lru.Entry) bool {
	old, ok := m.store.Peek(m.Hash(e.Key), e.Key)
	return ok && old.Version > e.Version
}

func (m *Machine) clearRange(lo, hi uint64) {
	type name struct{ hash, version uint64 }
	var gone []name
	m.store.Range(lo, hi, func(e lru.Entry) bool {
		gone = append(gone, name{e.Hash, e.Version})
		m.toggle(e.Hash, e.Version, e.Deadline)
		return true
	})
	for _, n := range gone {
		m.store.DeleteVersion(n.hash, n.version)
	}
}

// EachKey calls yield for every entry, in no order that matters; for tests and
// comparisons of replicas.
func (m *Machine) EachKey(yield func(key, value []byte, v shardmap.Version, deadline int64)) {
	m.store.Range(0, ^uint64(0), func(e lru.Entry) bool {
		yield(e.Key, e.Value, shardmap.Version(e.Version), e.Deadline)
		return true
	})
}
