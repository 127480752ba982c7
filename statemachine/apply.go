package statemachine

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// Apply plays one record at a copy that does not decide (data-protocol F3). The
// caller has checked that it is the next one. While filling, records may be older
// than what a chunk has brought already; then what they say is skipped key by
// key. ErrCorrupt means that a whole copy contradicts the record.
func (m *Machine) Apply(r *Record, filling bool) error {
	switch r.Op {
	case OpSet:
		if hash := m.Hash(r.Key); m.newer(hash, r) {
			m.put(hash, r.Key, r.Value, r.Version, m.deadlineOf(r))
		}
	case OpDel:
		if hash := m.Hash(r.Key); m.newer(hash, r) {
			m.drop(hash, r.Key)
		}
	case OpMeta:
		if err := m.applyMeta(r, filling); err != nil {
			return err
		}
	case OpFlush:
		m.flush()
	case OpEvict:
	default:
		return fmt.Errorf("%w: op %d", ErrCorrupt, r.Op)
	}
	for _, ev := range r.Evicted {
		m.evict(ev)
	}
	m.position = r.Version
	return nil
}

// newer reports whether the record is newer than the key's present entry.
func (m *Machine) newer(hash uint64, r *Record) bool {
	if mutant.Is("M12") {
		return true
	}
	e, ok := m.store.Peek(hash, r.Key)
	return !ok || uint64(r.Version) > e.Version
}

func (m *Machine) applyMeta(r *Record, filling bool) error {
	hash := m.Hash(r.Key)
	e, ok := m.store.Peek(hash, r.Key)
	switch {
	case ok && e.Version == uint64(r.KeyVersion):
		m.meta(hash, r.Key, r.Version, m.deadlineOf(r))
	case filling:
	default:
		return fmt.Errorf("%w: deadline of a key at version %v, found %v", ErrCorrupt, r.KeyVersion, e.Version)
	}
	return nil
}

// deadlineOf is the record's absolute deadline; the seeded bug restarts the TTL here.
func (m *Machine) deadlineOf(r *Record) int64 {
	if mutant.Is("M14") && r.Deadline != 0 {
		return r.Deadline + 1000
	}
	return r.Deadline
}
