package shardgroup

import (
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// largeRecord is a record of one value that is longer than a block.
func largeRecord(v, prev shardmap.Version, bytes int) []byte {
	return statemachine.AppendRecord(nil, &statemachine.Record{Version: v, Prev: prev, Op: statemachine.OpSet, Key: []byte("k"), Value: make([]byte, bytes)})
}

// TestLargeRecordsOfManyShardsAreTakenBack: a ring keeps its last block whatever happens,
// but not one that a single large value made: a value in every shard would be as many
// times the longest value beside all limits, and nothing would ever take it back.
func TestLargeRecordsOfManyShardsAreTakenBack(t *testing.T) {
	const shards, limit, block, value = 64, 64 << 10, 1 << 10, 16 << 10
	p := &pool{blockBytes: block, limit: limit}
	rings := make([]*shard, shards)
	for i := range rings {
		s := &shard{pool: p}
		rings[i] = s
		s.ring.add(s, largeRecord(1, 0, value))
		if most := int64(limit + value + block); p.used > most {
			t.Fatalf("%d bytes are lent after a large record in %d shards, the limit is %d", p.used, i+1, limit)
		}
	}
	for i, s := range rings {
		if n := len(s.ring.blocks); n == 0 && (s.ring.low != 1 || s.ring.start() != s.ring.end) {
			t.Fatalf("shard %d: the ring without blocks has low %v, start %d, end %d", i, s.ring.low, s.ring.start(), s.ring.end)
		}
		at := s.ring.end
		s.ring.add(s, largeRecord(2, 1, 10))
		if off, ok := s.ring.find(1, 2); !ok || off != at {
			t.Fatalf("shard %d: the record behind 1 is found at %d %v, want %d", i, off, ok, at)
		}
	}
	for _, s := range rings {
		s.ring.reset(s, 2)
	}
	if p.used != 0 || p.oldest != nil || p.newest != nil {
		t.Fatalf("after all resets %d bytes are lent, oldest %v", p.used, p.oldest)
	}
}

// TestALargeRecordThatIsNotHeldStays: what a follower was not sent yet is not taken back
// for another shard's record, or two shards would make each other's followers be filled
// for ever.
func TestALargeRecordThatIsNotHeldStays(t *testing.T) {
	const limit, block, value = 16 << 10, 1 << 10, 16 << 10
	p := &pool{blockBytes: block, limit: limit}
	serving := &shard{pool: p, lease: &worldLease{}}
	serving.ring.add(serving, largeRecord(1, 0, value))
	for range 3 {
		s := &shard{pool: p}
		s.ring.add(s, largeRecord(1, 0, value))
	}
	if len(serving.ring.blocks) != 1 {
		t.Fatal("a record that nobody else holds was taken back")
	}
	serving.heldOff = serving.ring.end
	s := &shard{pool: p}
	s.ring.add(s, largeRecord(1, 0, value))
	if len(serving.ring.blocks) != 0 {
		t.Fatal("a large record that is held was not taken back")
	}
}
