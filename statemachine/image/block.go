package image

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// A block is a hash range of a shard:
//
//	key:   shard u16 | lo u64 | generation u64
//	value: sum u32 | flags u8 | raw length u32 | payload
//
// The sum is CRC-32C over the key and what follows the sum: a block that stands in
// another one's place is as bad as a damaged one.
const (
	keyBytes    = 2 + 8 + 8
	blockHead   = 4 + 1 + 4
	packed      = 1 // a flag: the payload is S2
	blockMax    = 128 << 20
	worthSaving = 8 // pack what becomes shorter by an eighth at least
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a value under its key.
func sum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

func blockKey(shard uint16, lo, gen uint64) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, keyBytes), shard)
	b = binary.BigEndian.AppendUint64(b, lo)
	return binary.BigEndian.AppendUint64(b, gen)
}

// EncodeBlock packs the bytes of a block where that pays.
func EncodeBlock(key, raw []byte) []byte {
	room := max(s2.MaxEncodedLen(len(raw)), len(raw))
	b := make([]byte, blockHead, blockHead+room)
	binary.BigEndian.PutUint32(b[5:], uint32(len(raw)))
	if z := s2.Encode(b[blockHead:blockHead+room], raw); len(z) <= len(raw)-len(raw)/worthSaving {
		b[4], b = packed, b[:blockHead+len(z)]
	} else {
		b = append(b, raw...)
	}
	if cap(b) > len(b)+len(b)/8 { // it waits for its transaction beside many others
		b = append(make([]byte, 0, len(b)), b...)
	}
	binary.BigEndian.PutUint32(b, sum(key, b[4:]))
	return b
}

// DecodeBlock gives the bytes of a block, in dst's memory if they fit there. The error says
// why they cannot be trusted.
func DecodeBlock(key, b, dst []byte) ([]byte, error) {
	if len(b) < blockHead || binary.BigEndian.Uint32(b) != sum(key, b[4:]) && !mutant.Is("image-sum-ignored") {
		return nil, errSum
	}
	raw, payload := int(binary.BigEndian.Uint32(b[5:])), b[blockHead:]
	switch {
	case raw > blockMax || b[4]&^packed != 0:
		return nil, errShape
	case b[4] == 0 && raw == len(payload):
		return append(dst[:0], payload...), nil
	case b[4] == 0:
		return nil, errShape
	}
	if n, err := s2.DecodedLen(payload); err != nil || n != raw {
		return nil, errShape
	}
	out, err := s2.Decode(dst[:cap(dst)], payload)
	if err != nil {
		return nil, errShape
	}
	return out, nil
}

// sumOf is the sum that a value carries.
func sumOf(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
