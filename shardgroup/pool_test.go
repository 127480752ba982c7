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
