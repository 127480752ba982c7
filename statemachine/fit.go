package statemachine

import "github.com/baxromumarov/aegisKV/pkg/shardmap"

// LeaveOut removes entries, the least used first, until the contents hold no more than
// bytes, and gives their number and what they were in the digest. It is for a copy that is
// being restored, which no record tells: elsewhere what leaves is the leaseholder's decision.
func (m *Machine) LeaveOut(bytes int64) (n int, digest uint64) {
	before := m.total
	budget := m.store.Budget()
	m.store.SetBudget(bytes)
	for m.store.Over() > 0 {
		e, ok := m.store.Victim(0)
		if m.moved = m.moved[:0]; !ok {
			break
		}
		m.evict(Eviction{e.Hash, shardmap.Version(e.Version)})
		n++
	}
	m.store.SetBudget(budget)
	return n, before ^ m.total
}
