package shardgroup

import "testing"

// TestABusyRingStaysBoundedBesideIdleOnes: the blocks of idle rings, which cannot
// be taken back, must not hide the busy ring's from the search.
func TestABusyRingStaysBoundedBesideIdleOnes(t *testing.T) {
	const idle, limit, block = 4 * reclaimScan, 1 << 20, 1 << 10
	p := &pool{blockBytes: block, limit: limit}
	rec := appendOpen(nil, 1, 0)
	fill := func(s *shard, n int) {
		for range n {
			s.ring.add(s, rec)
		}
	}
	for range idle {
		fill(&shard{pool: p}, 1)
	}
	busy := &shard{pool: p}
	perBlock := block / len(rec)
	fill(busy, 4*limit/block*perBlock)
	if p.used > limit {
		t.Fatalf("%d bytes are lent, the limit is %d", p.used, limit)
	}
	if n := len(busy.ring.blocks); n < (limit/block-idle)/2 {
		t.Fatalf("the busy ring keeps %d blocks", n)
	}
	busy.ring.reset(busy, 0)
	if p.used != idle*block || p.oldest != nil || p.newest != nil {
		t.Fatalf("after its reset %d bytes are lent, oldest %v", p.used, p.oldest)
	}
	made := len(p.free)
	fill(busy, 2*limit/block*perBlock)
	if len(p.free)+len(busy.ring.blocks) != made {
		t.Fatalf("%d blocks were made, then %d", made, len(p.free)+len(busy.ring.blocks))
	}
}

// TestFreeBlocksCountToo: large records take the place of free blocks in memory,
// not only in the count.
func TestFreeBlocksCountToo(t *testing.T) {
	const limit, block = 64 << 10, 1 << 10
	p := &pool{blockBytes: block, limit: limit}
	rec := appendOpen(nil, 1, 0)
	s := &shard{pool: p}
	for p.used < limit {
		s.ring.add(s, rec)
	}
	s.ring.reset(s, 0)
	if got := len(p.free) * block; got != limit {
		t.Fatalf("%d bytes are free after %d were lent", got, limit)
	}
	for held := int64(block * 10); held <= limit; held += block * 10 {
		p.take(s, block*10)
		if got := p.used + int64(len(p.free)*block); p.used != held || got > limit {
			t.Fatalf("%d bytes are lent and %d held, the limit is %d", p.used, got, limit)
		}
	}
}
