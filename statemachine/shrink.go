package statemachine

import "github.com/baxromumarov/aegisKV/pkg/shardmap"

// BudgetBytes is what the contents should take at most.
func (m *Machine) BudgetBytes() int64 { return m.budget }

// LimitBytes is what they take at most at present: the budget, or more on the way to one
// that was lowered.
func (m *Machine) LimitBytes() int64 { return m.store.Budget() }

// SetBudget changes the budget. A lower one evicts nothing by itself, nor does the next
// write pay for all that is too much, which is half of a shard at worst: the limit in
// force is what is held then, and goes down with each write and each Shrink of the
// leaseholder. Followers apply what it decided.
func (m *Machine) SetBudget(bytes int64) {
	m.budget = bytes
	m.store.SetBudget(bytes)
	m.bear()
}

// bear makes what is held the limit in force.
func (m *Machine) bear() {
	if held := m.store.Charged(); held > m.store.Budget() {
		m.store.SetBudget(held)
	}
}

// lowerStep is by how many bytes one call lowers the limit in force.
const lowerStep = 8 << 10

// lower brings the limit in force nearer to the budget; false when it is there.
func (m *Machine) lower() bool {
	limit := m.store.Budget()
	if limit <= m.budget {
		return false
	}
	m.store.SetBudget(max(m.budget, min(limit, m.store.Charged())-lowerStep))
	return true
}

// Shrink lowers the limit in force and evicts at most limit entries for it, as a record
// of its own; it reports whether anything was evicted.
func (m *Machine) Shrink(v shardmap.Version, limit int, r *Record) bool {
	*r = Record{Version: v, Prev: m.position, Op: OpEvict, Evicted: r.Evicted[:0], Protected: r.Protected[:0]}
	m.sweepFirst()
	for len(r.Evicted) < limit && (m.store.Over() > 0 || m.lower()) {
		if m.store.Over() > 0 && !m.evictOne(0, r) {
			break
		}
	}
	m.bear()
	if len(r.Evicted) == 0 {
		return false
	}
	m.position = v
	return true
}

// shrink evicts into the record of the write that made the store too large, so
// that no other write can come between the two at a follower. What the write itself
// left goes last, and goes all the same: a value may be taken that is longer than the
// whole budget, and what is held never is. One that cannot fit goes first, so that it
// does not cost the shard everything else.
func (m *Machine) shrink(r *Record) {
	m.lower()
	m.sweepFirst()
	if n := int64(len(r.Key) + len(r.Value)); r.Op == OpSet && n > m.budget {
		ev := Eviction{m.Hash(r.Key), r.Version}
		m.evict(ev)
		m.evicted++
		r.Evicted = append(r.Evicted, ev)
	}
	for m.store.Over() > 0 && m.evictOne(r.Version, r) {
	}
	for m.store.Over() > 0 && m.evictOne(0, r) {
	}
}

// sweepFirst lets the dead go before the living, in bounded work.
func (m *Machine) sweepFirst() {
	if m.store.Over() > 0 {
		m.Sweep(64)
	}
}

// protectedMax bounds how many names of spared entries a record takes, about: a large
// transaction may spare every entry of its shard. Followers are a little less warm then.
const protectedMax = 1024

// evictOne evicts into a record, but never the entry that has version keep (0 =
// none). A hash would not do as its name: other keys may have the same one, and
// could then not be evicted either. What the store spared instead goes with it.
func (m *Machine) evictOne(keep shardmap.Version, r *Record) bool {
	e, ok := m.store.Victim(uint64(keep))
	if len(r.Protected) < protectedMax {
		r.Protected = append(r.Protected, m.moved...)
	}
	m.moved = m.moved[:0]
	if !ok || (e.Version == uint64(keep) && keep != 0) {
		return false
	}
	ev := Eviction{e.Hash, shardmap.Version(e.Version)}
	m.evict(ev)
	m.evicted++
	r.Evicted = append(r.Evicted, ev)
	return true
}
