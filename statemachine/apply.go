package statemachine

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/lru"
)

// Apply plays one record at a copy that does not decide (data-protocol F3). The
// caller has checked that it is the next one. While filling, records may be older
// than what a chunk has brought already; then what they say is skipped key by
// key. ErrCorrupt means that a whole copy contradicts the record.
func (m *Machine) Apply(r *Record, filling bool) error {
	var err error
	switch r.Op {
	case OpFlush:
		m.flush()
	case OpEvict:
	case OpTxn:
		err = m.applyTxn(r, filling)
	default:
		err = m.applyPart(r, filling)
	}
	if err != nil {
		return err
	}
	for _, p := range r.Protected {
		if !mutant.Is("hits-unsaid") {
			m.store.Protect(p.Hash, uint64(p.Version))
		}
	}
	for _, ev := range r.Evicted {
		if mutant.Is("M22") {
			continue
		}
		m.evict(ev)
	}
	m.position = r.Version
	return nil
}

// applyPart plays what a record or a part of a transaction does to one key.
func (m *Machine) applyPart(r *Record, filling bool) error {
	if oversized(r.Key, r.Value) {
		return fmt.Errorf("%w: %d bytes under a key of %d", ErrCorrupt, len(r.Value), len(r.Key))
	}
	hash := m.Hash(r.Key)
	switch r.Op {
	case OpSet:
		m.merge(hash, r)
	case OpDel:
		if m.newer(hash, r) {
			m.drop(hash, r.Key)
		}
	case OpMeta:
		return m.applyMeta(hash, r, filling)
	default:
		return fmt.Errorf("%w: op %d", ErrCorrupt, r.Op)
	}
	return nil
}

// oversized says that an entry cannot have been written by a command.
func oversized(key, value []byte) bool {
	return len(key) > KeyBytesMax || len(value) > lru.ValueBytesMax
}

// newer reports whether the record is not older than the key's present entry. Equal
// are the parts of one transaction, which are played in order, also over a chunk that
// shows their end already. (merge lets the store ask the same, in one search.)
func (m *Machine) newer(hash uint64, r *Record) bool {
	if mutant.Is("M12") {
		return true
	}
	e, ok := m.store.Peek(hash, r.Key)
	return !ok || uint64(r.Version) >= e.Version
}

func (m *Machine) applyMeta(hash uint64, r *Record, filling bool) error {
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
