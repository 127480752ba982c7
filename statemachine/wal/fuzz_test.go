package wal

import (
	"bytes"
	"testing"
)

// FuzzDecode reads any bytes as each part of a segment; what is read is written the same.
func FuzzDecode(f *testing.F) {
	id := [16]byte{9}
	frames := appendFrame(appendFrame(nil, kindTest, 3, []byte("record")), kindTest, 1, nil)
	seal(frames, 7, make([]uint64, 8))
	f.Add(frames, uint32(7))
	f.Add(appendHead(nil, &head{mode: Fsync, shards: 4, id: id, number: 2, first: 99, seed: 5}), uint32(0))
	f.Add(appendMark(nil, id, mark{1, 300, 77}), uint32(0))
	f.Add(appendTable(nil, []uint64{0, 4, 0, 1}), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, chain uint32) {
		if fr, sound := decodeFrame(b, chain); sound == frameGood {
			again := appendFrame(nil, fr.kind, fr.shard, fr.payload)
			if end := seal(again, chain, make([]uint64, 1<<16)); !bytes.Equal(again, b[:fr.size]) || end != fr.sum {
				t.Errorf("frame %x is written as %x", b[:fr.size], again)
			}
		}
		if h, err := decodeHead(b); err == nil && !bytes.Equal(appendHead(nil, &h), b[:segmentHead]) {
			t.Errorf("head %x is written as %x", b[:segmentHead], appendHead(nil, &h))
		}
		if m, ok := decodeMark(b, id); ok && !bytes.Equal(appendMark(nil, id, m), b[:markPayload]) {
			t.Errorf("mark %x is written as %x", b[:markPayload], appendMark(nil, id, m))
		}
		counts := make([]uint64, 8)
		if decodeTable(b, counts) && !bytes.Equal(appendTable(nil, counts), b) {
			t.Errorf("table %x is written as %x", b, appendTable(nil, counts))
		}
	})
}

// FuzzRecovery puts any bytes at any place of a sound log, and cuts it: whatever comes
// back was written, and no shard goes on over a hole that nobody told of.
func FuzzRecovery(f *testing.F) {
	f.Add([]byte("garbage"), uint32(500), uint32(1<<20), true)
	f.Add([]byte{}, uint32(0), uint32(7000), false)
	f.Add(bytes.Repeat([]byte{0}, 600), uint32(6200), uint32(1<<20), false)
	f.Fuzz(func(t *testing.T, b []byte, at, cut uint32, sameBoot bool) {
		x := flood(t, Fsync, true)
		for n := uint64(1); x.fs.files[segmentName(n)] != nil; n++ {
			data := x.fs.files[segmentName(n)].data
			if int(at) < len(data) {
				copy(data[at:], b)
			}
			if int(cut) < len(data) {
				x.fs.files[segmentName(n)].data = data[:cut]
			}
			at, cut = at-min(at, uint32(len(data))), cut-min(cut, uint32(len(data)))
		}
		boot := byte(2)
		if sameBoot {
			boot = 1
		}
		v := x.story.reader()
		if _, err := verify(x.config(x.fs, boot), v); v.wrong != nil {
			t.Fatalf("%v, %v", v.wrong, err)
		}
		l, _, err := open(x.config(x.fs, boot), x.story.reader())
		if err == nil && l.Close() != nil {
			t.Error("what was opened cannot be closed")
		}
	})
}
