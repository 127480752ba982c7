package statemachine

import "github.com/baxromumarov/aegisKV/lru"

// Watcher hears of every key whose entry changes, while the change is made. A
// machine without one pays a comparison with nil.
type Watcher interface {
	// Changed says that what was read of a key may not be true any more: it was
	// written, deleted, evicted, swept, or got another deadline. origin is that of the
	// Command, 0 for what nobody asked for. key is valid during the call only.
	Changed(key []byte, origin uint64)
	// Flushed says so of all keys.
	Flushed(origin uint64)
}

// Watch tells w of the changes from here on, nil nobody. Bulk copies (ReplaceRange,
// Reset) do not name what they remove: no one is served from a copy while they run.
func (m *Machine) Watch(w Watcher) { m.watch = w }

// tell names a changed key to the watcher.
func (m *Machine) tell(key []byte) {
	if m.watch != nil {
		m.watch.Changed(key, m.origin)
	}
}

// tellEvicted names the key of an entry that is about to leave: a record knows only
// its hash and version.
func (m *Machine) tellEvicted(ev Eviction) {
	if m.watch == nil {
		return
	}
	m.store.Range(ev.Hash, ev.Hash, func(e lru.Entry) bool {
		if e.Version == uint64(ev.Version) {
			m.tell(e.Key)
		}
		return true
	})
}
