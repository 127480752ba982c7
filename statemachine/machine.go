package statemachine

import (
	"unsafe"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Config fixes what a Machine is for.
type Config struct {
	HashKey       uint64    // of the cluster
	BudgetBytes   int64     // the store's budget
	ValueBytesMax int64     // longest value; 0 = what ValueBytesMax says of the budget
	Pool          *lru.Pool // where the store's memory comes from; nil = the Go heap
}

// Machine is one shard's copy. Not safe for concurrent use: the shard's mutex
// guards it.
//
// Invariant: contents = what the records up to position left, on the branch of
// history that position lies on, minus keys dead at time.
type Machine struct {
	hashKey  uint64
	valueMax int64 // 0 = derived from the budget
	budget   int64 // what it should hold at most; the store's is the limit in force
	store    *lru.Store
	position shardmap.Version
	time     int64 // shard time T, unix ms; goes back by a fill only
	digest   [DigestBuckets]uint64
	total    uint64 // XOR of digest
	scratch  []byte
	txn      txn
	part     Record // scratch of applyTxn
	watch    Watcher
	origin   uint64 // of the command under way
	gone     goneCounts
	moved    []Eviction // protected by the store since the last eviction; 32 at most
	evicted  int64      // entries that this machine chose to evict, since it was made
}

// New makes an empty machine at position 0.
func New(cfg Config) *Machine {
	m := &Machine{hashKey: cfg.HashKey, valueMax: cfg.ValueBytesMax, budget: cfg.BudgetBytes}
	m.store = lru.New(lru.Config{
		BudgetBytes: cfg.BudgetBytes, Secret: cfg.HashKey, Pool: cfg.Pool,
		Protected: func(hash, version uint64) { m.moved = append(m.moved, Eviction{hash, shardmap.Version(version)}) },
	})
	return m
}

// Evicted is how many entries the machine has evicted as its shard's holder, since it
// was made.
func (m *Machine) Evicted() int64 { return m.evicted }

// Position is the version of the last record in the contents.
func (m *Machine) Position() shardmap.Version { return m.position }

// SetPosition moves the position without a record: at Open, after a revert, in a fill.
func (m *Machine) SetPosition(v shardmap.Version) { m.position = v }

// Time is the shard time T: keys with a deadline at or before it are dead for good.
func (m *Machine) Time() int64 { return m.time }

// SetTime makes T what a fill says, unix ms, also when it was more.
func (m *Machine) SetTime(t int64) { m.time = t }

// AdvanceTime raises T; an earlier time changes nothing.
func (m *Machine) AdvanceTime(t int64) { m.time = max(m.time, t) }

// Hash is the keyed hash that ranges, evictions and digests go by.
func (m *Machine) Hash(key []byte) uint64 { return lru.Hash(m.hashKey, key) }

// Len is the number of entries, dead ones that were not swept yet included.
func (m *Machine) Len() int { return m.store.Len() }

// HeldBytes is what the contents count against the budget.
func (m *Machine) HeldBytes() int64 { return m.store.Held() }

// Holdings are the store's figures.
func (m *Machine) Holdings() lru.Holdings {
	h := m.store.Holdings()
	h.Budget = m.budget
	return h
}

// ValueBytesMax is the longest value this copy takes.
func (m *Machine) ValueBytesMax() int64 {
	if m.valueMax > 0 {
		return m.valueMax
	}
	return ValueBytesMax(m.budget)
}

// ValueBytesMax is the longest value, in bytes, that a shard with a budget takes: a
// quarter of it, but 1 MiB at least and 64 MiB at most.
func ValueBytesMax(budgetBytes int64) int64 { return max(1<<20, min(lru.ValueBytesMax, budgetBytes/4)) }

// Value is what Lookup finds; Data aliases the store until the next change.
type Value struct {
	Data     []byte
	Version  shardmap.Version
	Deadline int64 // unix ms, 0 = none
}

// Lookup finds a key alive at now (the holder's time, or T at a follower) and counts
// the hit, unless it is quiet.
func (m *Machine) Lookup(key []byte, quiet bool, now int64) (Value, bool) {
	var e lru.Entry
	var ok bool
	if hash := m.Hash(key); quiet { // no function of its own, here and in Execute: it would copy the entry, 8 ns
		e, ok = m.store.Peek(hash, key)
	} else {
		e, ok = m.store.Get(hash, key)
	}
	if !ok || dead(e.Deadline, max(now, m.time)) {
		return Value{}, false
	}
	return Value{e.Value, shardmap.Version(e.Version), e.Deadline}, true
}

// Usage says how the store keeps a key, dead or alive.
func (m *Machine) Usage(key []byte) (lru.Usage, bool) { return m.store.Usage(m.Hash(key), key) }

// WarmSteps is how many steps Warm has.
const WarmSteps = lru.WarmSteps

// Warm brings a key near that is about to be asked for; see lru.Store.Warm.
func (m *Machine) Warm(hash uint64, step int, slot *uint64) (more bool) {
	if step == 0 {
		lru.Prefetch(unsafe.Pointer(&m.digest[hash>>digestShift]))
	}
	return m.store.Warm(hash, step, slot)
}

// dead says whether a deadline has passed.
func dead(deadline, now int64) bool { return deadline != 0 && deadline <= now }

// Sweep removes at most max keys that are dead at T and reports whether more
// are left. No record goes out for it: every replica sweeps by the same T.
func (m *Machine) Sweep(max int) bool {
	return m.store.Expired(m.time, max, func(e lru.Entry) {
		m.toggle(e.Hash, e.Version, e.Deadline)
		m.tell(e.Key)
		m.gone.note(e.Hash)
	})
}

// Settle sweeps all that is dead at T, which digests must not contain.
func (m *Machine) Settle() {
	for m.Sweep(1 << 16) {
	}
}

// Reset forgets the contents; position and time stay.
func (m *Machine) Reset() {
	m.noteReset()
	m.store.Clear()
	m.digest = [DigestBuckets]uint64{}
	m.total = 0
}

// Close forgets the contents for good and gives their memory back.
func (m *Machine) Close() {
	m.Reset()
	m.store.Close()
}

// put stores an entry whatever was there before. Execute, Apply, fills and
// reverts meet here.
func (m *Machine) put(e lru.Entry) {
	old, was := m.store.Set(e)
	m.forget(e.Hash, old, was)
	m.toggle(e.Hash, e.Version, e.Deadline)
	m.tell(e.Key)
}

// merge stores what a record says, unless the key's present entry is newer.
func (m *Machine) merge(hash uint64, r *Record) {
	e := lru.Entry{Hash: hash, Version: uint64(r.Version), Deadline: m.deadlineOf(r), Key: r.Key, Value: r.Value}
	if mutant.Is("M12") {
		m.put(e)
		return
	}
	old, was, applied := m.store.Merge(e)
	if applied {
		m.forget(hash, old, was)
		m.toggle(hash, e.Version, e.Deadline)
		m.tell(r.Key)
	}
}

// drop removes a key if it is there.
func (m *Machine) drop(hash uint64, key []byte) {
	old, was := m.store.Delete(hash, key)
	m.forget(hash, old, was)
	m.tell(key)
	m.gone.note(hash)
}

// meta changes deadline and version of a present key.
func (m *Machine) meta(hash uint64, key []byte, v shardmap.Version, deadline int64) {
	old, was := m.store.SetMeta(hash, key, uint64(v), deadline)
	m.forget(hash, old, was)
	m.toggle(hash, uint64(v), deadline)
	m.tell(key)
}

// evict removes a named entry if it is there.
func (m *Machine) evict(ev Eviction) {
	m.tellEvicted(ev)
	old, was := m.store.Evict(ev.Hash, uint64(ev.Version))
	m.forget(ev.Hash, old, was)
	m.gone.note(ev.Hash)
}

// forget takes what a change replaced out of the digest.
func (m *Machine) forget(hash uint64, old lru.Mark, was bool) {
	if was {
		m.toggle(hash, old.Version, old.Deadline)
	}
}

// flush removes everything.
func (m *Machine) flush() {
	m.Reset()
	if m.watch != nil {
		m.watch.Flushed(m.origin)
	}
}
