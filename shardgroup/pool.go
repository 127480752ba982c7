package shardgroup

import "sync"

// block is a piece of a ring. Records do not straddle blocks; one that is larger
// than a block has a block of its own.
type block struct {
	buf          []byte // used part
	base         uint64 // logical offset of buf[0] in its ring
	owner        *shard
	older, newer *block // in the pool's order of age, once listed
	listed       bool
	large        bool
}

// pool is the ring memory of the node: counted, lent in blocks, never above its
// limit but for what rings must keep (one block each, large ones until W seats hold
// them, and one record that always fits).
// Listed by age are only the blocks that could be taken back: all but the last of
// each ring, and that one if it is large, or a large value in each shard would be kept
// for as long as nobody writes there again. With all of them in the list a few hundred
// idle rings would be all that a bounded search ever meets, and a busy one would grow
// without end.
type pool struct {
	mu             sync.Mutex
	blockBytes     int
	limit          int64
	used           int64
	free           []*block // of blockBytes each; with used they stay below the limit too
	oldest, newest *block
}

// take lends a block that holds need bytes. The caller holds s.mu.
func (p *pool) take(s *shard, need int) *block {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := max(need, p.blockBytes)
	p.reclaim(s, int64(size))
	if n := len(s.ring.blocks); n > 0 && !s.ring.blocks[n-1].listed {
		p.list(s.ring.blocks[n-1])
	}
	var b *block
	if n := len(p.free); n > 0 && size == p.blockBytes {
		b = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		b = &block{buf: make([]byte, 0, size), large: size > p.blockBytes}
	}
	p.used += int64(cap(b.buf))
	b.owner = s
	if b.large {
		p.list(b)
	}
	p.trim()
	return b
}

// list makes a block the newest of those that may be taken back.
func (p *pool) list(b *block) {
	b.listed = true
	b.older, b.newer = p.newest, nil
	if p.newest != nil {
		p.newest.newer = b
	} else {
		p.oldest = b
	}
	p.newest = b
}

func (p *pool) unlist(b *block) {
	if !b.listed {
		return
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		p.oldest = b.newer
	}
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		p.newest = b.older
	}
	b.older, b.newer, b.listed = nil, nil, false
}

// give takes a block back.
func (p *pool) give(b *block) {
	p.mu.Lock()
	p.release(b)
	p.mu.Unlock()
}

func (p *pool) release(b *block) {
	p.unlist(b)
	p.used -= int64(cap(b.buf))
	b.owner = nil
	b.buf = b.buf[:0]
	if !b.large {
		p.free = append(p.free, b)
	}
}

// trim lets free blocks go for which there is no room beside what is lent: large
// blocks may have taken their place.
func (p *pool) trim() {
	for n := len(p.free); n > 0 && p.used+int64(n*p.blockBytes) > p.limit; n-- {
		p.free[n-1] = nil
		p.free = p.free[:n-1]
	}
}

// reclaimScan bounds how many blocks one take looks at.
const reclaimScan = 64

// reclaim makes room for size bytes: the oldest blocks of the node go first, and those with records that W seats do not hold
// only when there is no other choice. Other shards are only tried, never waited
// for: their owner may be waiting for this pool.
func (p *pool) reclaim(s *shard, size int64) {
	for _, unheldToo := range [...]bool{false, true} {
		scan := 0
		for b := p.oldest; b != nil && p.used+size > p.limit && scan < reclaimScan; scan++ {
			next := b.newer
			if b.owner == s || b.owner.mu.TryLock() {
				o := b.owner
				unheld := o.unheld(b)
				if len(o.ring.blocks) > 0 && o.ring.blocks[0] == b && (!unheld || unheldToo && len(o.ring.blocks) > 1) {
					if unheld {
						probeUnheldGiven.Hit()
					}
					o.ring.dropOldest()
					p.release(b)
				}
				if o != s {
					o.mu.Unlock()
				}
			}
			b = next
		}
	}
}
