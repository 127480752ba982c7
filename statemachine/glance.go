package statemachine

import (
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Glance is what a key was at some moment at the leaseholder: two of one key, of one
// epoch, are equal only when nothing touched the key in between.
type Glance struct {
	Version shardmap.Version // 0 = absent
	Gone    uint32           // with 0: how often a key that may be this one was removed
}

// goneCounts counts removals by parts of the hash space. A version says that a present
// key changed; that an absent one came and went, nothing in the store says. Keeping a
// version per removed key would be exact and without bound; this is one addition per
// removal, and a removal of one of the other keys of the part is taken for one of this
// key: who watches tries again, as for any other change.
type goneCounts [256]uint32

// goneBuckets is how many digests there are of each part.
const goneBuckets = DigestBuckets / len(goneCounts{})

func (g *goneCounts) note(hash uint64) { g[hash>>56]++ }

// noteReset notes that all keys are about to go, in the parts that have one: there the
// digest is not 0, but for a chance of 1 in 2^64. (The keys were walked once, which was
// half of what it costs to empty a shard.)
func (m *Machine) noteReset() {
	for part := range m.gone {
		if slices.ContainsFunc(m.digest[part*goneBuckets:(part+1)*goneBuckets], func(d uint64) bool { return d != 0 }) {
			m.gone[part]++
		}
	}
}

// Look says what a key is at now, without counting a hit.
func (m *Machine) Look(key []byte, now int64) Glance {
	hash := m.Hash(key)
	e, ok := m.store.Peek(hash, key)
	switch {
	case !ok:
		return Glance{Gone: m.gone[hash>>56]}
	case dead(e.Deadline, max(now, m.time)): // as after it has been swept
		return Glance{Gone: m.gone[hash>>56] + 1}
	}
	return Glance{Version: shardmap.Version(e.Version)}
}
