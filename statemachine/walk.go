package statemachine

import (
	"math/bits"

	"github.com/baxromumarov/aegisKV/lru"
)

// walkBits are the high bits of the hash that a walk goes by: a place in it fits into
// the cursor of a client beside the number of the shard. What shares them all is
// visited in one step.
const walkBits = 48

// Walk visits the keys that are alive at now in the part of the hash space that begins
// at a place, about n of them, and answers where the next part begins; 0 = the walk is
// over. Nothing is kept between two calls: a key's place is its hash, so a walk from 0
// to its end visits every key that is there all the while, once, whatever comes, goes
// or is moved within the store meanwhile.
func (m *Machine) Walk(place uint64, n int, now int64, visit func(key []byte)) (next uint64) {
	now = max(now, m.time)
	last := place | (m.walkStep(n) - 1)
	m.store.Range(place<<(64-walkBits), last<<(64-walkBits)|(1<<(64-walkBits)-1), func(e lru.Entry) bool {
		if !dead(e.Deadline, now) {
			visit(e.Key)
		}
		return true
	})
	return (last + 1) & (1<<walkBits - 1)
}

// walkStep is the width, a power of two, of a part that holds about n keys.
func (m *Machine) walkStep(n int) uint64 {
	parts := uint64(m.store.Len() / max(1, n))
	return 1 << (walkBits - min(walkBits, bits.Len64(parts)))
}
