package statemachine

import "github.com/baxromumarov/aegisKV/lru"

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
