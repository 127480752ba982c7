package image

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// reseal gives a damaged value a sum that fits: what stands behind it must hold too.
func reseal(key, b []byte) []byte {
	if b = slices.Clone(b); len(b) >= 4 {
		binary.BigEndian.PutUint32(b, sum(key, b[4:]))
	}
	return b
}

// FuzzBlock: bytes that are no block are an error, and what is read is what was written.
func FuzzBlock(f *testing.F) {
	key := blockKey(1, 2, 3)
	for _, raw := range [][]byte{nil, []byte("one"), bytes.Repeat([]byte("again "), 100)} {
		f.Add(EncodeBlock(key, raw))
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(key, b)} {
			if raw, err := DecodeBlock(key, b, nil); err == nil && len(raw) > blockMax {
				t.Errorf("%d bytes", len(raw))
			}
		}
		raw, err := DecodeBlock(key, EncodeBlock(key, b), []byte("former"))
		if err != nil || !bytes.Equal(raw, b) {
			t.Errorf("%v: %d bytes of %d", err, len(raw), len(b))
		}
		if _, err := DecodeBlock(blockKey(1, 2, 4), EncodeBlock(key, b), nil); err == nil {
			t.Error("a block is read under another key")
		}
	})
}

// FuzzTables reads rows, indexes, heads and numbers: what is taken is written the same.
func FuzzTables(f *testing.F) {
	index := []entry{{lo: 0, gen: 1, digest: 5, size: 6}, {lo: 1 << 60, gen: 2}}
	ib := encodeIndex(2, index)
	row := Row{Shard: 2, Copy: 3, From: Standing{1, 2, 3, 4}, To: Standing{5, 6, 7, 8}, Digest: 9, Width: 16, Blocks: 2, Bytes: 11, indexSum: sumOf(ib)}
	f.Add(encodeRow(&row))
	f.Add(ib)
	f.Add(encodeHead(&head{format: format, shards: 4, id: [16]byte{1}}))
	f.Add(encodeNumber(keyFrom, 77))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(nil, b)} {
			if r, err := decodeRow(2, b); err == nil && !bytes.Equal(encodeRow(&r), b) {
				t.Errorf("row %+v", r)
			}
		}
		for _, b := range [][]byte{b, reseal(shardKey(2), b)} {
			if len(b) >= 4 {
				r := Row{Shard: 2, Blocks: uint32(len(b)-4) / entryBytes, indexSum: sumOf(b)}
				if is, err := decodeIndex(&r, b); err == nil && !bytes.Equal(encodeIndex(2, is), b) {
					t.Errorf("index %+v", is)
				}
			}
		}
		if h, err := decodeHead(b); err == nil && !bytes.Equal(encodeHead(&h), b) {
			t.Errorf("head %+v", h)
		}
		if n, err := decodeNumber(keyFrom, b); err == nil && b != nil && !bytes.Equal(encodeNumber(keyFrom, n), b) {
			t.Errorf("number %d", n)
		}
		if h, err := decodeHead(encodeHead(&head{format: format + 1, shards: uint32(len(b))})); err == nil {
			t.Errorf("a newer head is taken: %+v", h)
		}
	})
}
