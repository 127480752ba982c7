package lru

import "unsafe"

// Entry is one key as the store holds it. Key and Value alias the store's memory
// and are valid until the next call of the store.
type Entry struct {
	Hash     uint64
	Version  uint64
	Deadline int64 // unix ms; 0 = none
	Key      []byte
	Value    []byte
	// Protected says that a walk found it in the protected queue, or that a new one
	// belongs there, whatever the ghost says. It is not set elsewhere.
	Protected bool
}

// Mark is what a change found in the place of the key.
type Mark struct {
	Version  uint64
	Deadline int64
}

// Limits of an Entry.
const (
	KeyBytesMax   = keyLenMax
	ValueBytesMax = 64 << 20
)

// Config fixes what a Store is for.
type Config struct {
	BudgetBytes int64  // what it may hold, all overhead included
	Secret      uint64 // of the keyed hash: Entry.Hash is Hash(Secret, Key)
	Pool        *Pool  // where memory comes from; nil = the Go heap
	Policy      Policy
	Admission   Admission
	// Protected is told by Victim which entries it moves to the head of the protected
	// queue: promoted ones, and those that get a second chance. nil = nobody asks.
	Protected func(hash, version uint64)
}

// Store holds the entries of one shard. The zero Store cannot be used; see New.
type Store struct {
	cfg     Config
	hash    func(key []byte) uint64
	index   index
	runs    [2 * queues]run // of queue q: 2q and 2q+1
	queues  [queues]queue
	shift   uint8 // of segments, as the budget wants them
	inline  int   // bytes of a value that needs no extent, as the budget wants it
	count   int
	live    int64 // key and value bytes
	charge  int64 // what Over counts
	stale   bool  // something that charge is made of has changed
	work    int   // bytes appended or made dead by the call under way
	ramp    int64 // bytes kept free for the run that a pack is going to need
	extents extents
	ghost   ghost
	sketch  sketch
	plain   bool // a hit only counts
	timers  timers
	last    victim
	keeping keeping
	frozen  *Frozen // a walk of the past, nil = none
	seen    place   // what Get found, for the change that follows it
	scratch []byte  // for records that reach over a segment's end
}

// New makes an empty store that should hold at most cfg.BudgetBytes.
func New(cfg Config) *Store {
	s := &Store{cfg: cfg, plain: cfg.Policy == Segmented && cfg.Admission == AdmitAll}
	s.hash = func(key []byte) uint64 { return Hash(cfg.Secret, key) }
	s.index.records = s
	s.shift, s.inline = segmentShift(cfg.BudgetBytes), inlineFor(cfg.BudgetBytes)
	s.start()
	return s
}

// start makes the store an empty one.
func (s *Store) start() {
	s.stale = true
	for i := range s.runs {
		s.runs[i].shift = s.shift
	}
	s.index.start(s.cfg.Pool, min(pageBytes, 1<<s.shift))
}

// Clear forgets everything, ghosts included, and gives the memory back.
func (s *Store) Clear() {
	s.thaw(ErrFrozenRewrote)
	for i := range s.runs {
		s.runs[i].clear(s.cfg.Pool)
	}
	s.index.clear(s.cfg.Pool)
	s.extents.clear(s.cfg.Pool)
	s.ghost.clear(s.cfg.Pool)
	s.sketch.clear(s.cfg.Pool)
	s.queues, s.timers, s.last, s.keeping, s.seen, s.scratch = [queues]queue{}, timers{}, victim{}, keeping{}, place{}, nil
	s.count, s.live, s.work, s.ramp = 0, 0, 0, 0
	s.start()
}

// Close gives everything back, for the end of a store whose pool goes on. What is done
// with the store later finds an empty one, on the Go heap.
func (s *Store) Close() {
	s.Clear()
	s.index.clear(s.cfg.Pool)
	s.cfg.Pool = nil
	s.start()
}

// Len is the number of entries, expired ones included until they are removed.
func (s *Store) Len() int { return s.count }

// Live is the number of key and value bytes.
func (s *Store) Live() int64 { return s.live }

// Budget is the number of bytes the store should hold at most.
func (s *Store) Budget() int64 { return s.cfg.BudgetBytes }

// Holdings are what a store holds, in bytes, for people.
type Holdings struct {
	Budget int64
	Held   int64 // all overhead included
	Live   int64 // of that: keys and values
	Dead   int64 // of that: records that no entry uses and that are not packed away yet
}

// Add makes h the sum of two stores' holdings.
func (h *Holdings) Add(o Holdings) {
	h.Budget, h.Held, h.Live, h.Dead = h.Budget+o.Budget, h.Held+o.Held, h.Live+o.Live, h.Dead+o.Dead
}

// Holdings says what the store holds.
func (s *Store) Holdings() Holdings {
	h := Holdings{Budget: s.cfg.BudgetBytes, Held: s.Held(), Live: s.live}
	for i := range s.runs {
		h.Dead += s.runs[i].dead
	}
	return h
}

// SetBudget changes the budget; the owner then evicts while Over is positive.
// Segments follow the budget: they are laid out anew in steps, with later calls.
func (s *Store) SetBudget(bytes int64) {
	s.cfg.BudgetBytes = bytes
	s.shift, s.inline = segmentShift(bytes), inlineFor(bytes)
	s.tidy()
}

// Held is the number of bytes the store holds, all overhead included.
func (s *Store) Held() int64 {
	n := s.fixed()
	for i := range s.runs {
		n += s.runs[i].heldBytes()
	}
	return n
}

// Over is by how many bytes the store is above its budget, 0 when it is not. It
// counts up to two segments of each run as full, and the scratch as long as it can
// get by reading: so what is held never exceeds the budget once Over is 0, and
// evictions follow the writes byte by byte instead of coming when a segment is full.
func (s *Store) Over() int64 { return max(0, s.Charged()+s.ramp-s.cfg.BudgetBytes) }

// Charged is what Over counts without what it wants free for a run to come.
func (s *Store) Charged() int64 {
	if s.stale {
		reach := s.reach()
		s.trimScratch(reach)
		s.stale, s.charge = false, s.fixed()
		s.charge += int64(reach - cap(s.scratch))
		for i := range s.runs {
			if r := &s.runs[i]; r.head != r.tail {
				s.charge += r.length() + 2<<r.shift
			}
		}
	}
	return s.charge
}

// fixed is what is held beside segments.
func (s *Store) fixed() int64 {
	n := int64(unsafe.Sizeof(*s)) + s.index.heldBytes() + s.extents.heldBytes() + s.timers.heldBytes() +
		s.ghost.heldBytes() + s.sketch.heldBytes()
	for i := range s.runs {
		n += int64(cap(s.runs[i].segs)) * 8
	}
	return n + int64(cap(s.scratch))
}

// trimScratch lets go of a scratch that is longer than any record.
func (s *Store) trimScratch(reach int) {
	if cap(s.scratch) > reach {
		s.scratch = nil
	}
}

// reach is the length of the longest record that may have to be copied together.
func (s *Store) reach() (n int) {
	for i := range s.runs {
		n = max(n, s.runs[i].reach)
	}
	return n
}

// Peek finds a key without counting a hit.
func (s *Store) Peek(hash uint64, key []byte) (Entry, bool) {
	if at, rec := s.find(hash, key); at != nil {
		return s.entryOf(hash, rec), true
	}
	return Entry{}, false
}

// Get finds a key and counts the hit, which is what keeps it from eviction.
func (s *Store) Get(hash uint64, key []byte) (Entry, bool) {
	at, rec := s.find(hash, key)
	if at == nil {
		return Entry{}, false
	}
	s.seen.at, s.seen.hash = at, hash
	if *at&hitsMask < maxHits {
		*at++
	}
	if !s.plain {
		return s.use(at, hash), true
	}
	return s.entryOf(hash, rec), true
}

// What an entry costs beside its record, on average: a slot of a line that is three
// quarters full, and a record of the wheel.
const (
	indexShare = 12
	timerShare = 5
	entryLeast = headBytes + 8 + indexShare // bytes of the smallest entry
)

// Usage is how an entry is kept.
type Usage struct {
	Bytes int64 // of its record, of its extent, and of its place in the index
	Hits  uint8 // since it was last moved, 3 at most
}

// Usage says how a key is kept, without counting a hit.
func (s *Store) Usage(hash uint64, key []byte) (u Usage, ok bool) {
	at, rec := s.find(hash, key)
	if at == nil {
		return u, false
	}
	u = Usage{Bytes: rec.meta().weight() + indexShare, Hits: uint8(*at & hitsMask)}
	if rec.meta().timer() != 0 {
		u.Bytes += timerShare
	}
	return u, true
}

// Set stores a copy of the entry, replacing the key's present one. It is the
// owner's business that the version is newer. Nothing is allocated when the key
// exists and the new bytes fit where the old ones were. It answers what the key
// was before, if it was there.
func (s *Store) Set(e Entry) (before Mark, was bool) {
	at, rec := s.find(e.Hash, e.Key)
	if was = at != nil; was {
		before = s.replace(at, rec, &e)
	} else {
		s.insert(&e)
	}
	s.tidy()
	return before, was
}

// Merge is Set for an entry that may be older than what the key has: then nothing
// changes, and applied is false.
func (s *Store) Merge(e Entry) (before Mark, was, applied bool) {
	at, rec := s.find(e.Hash, e.Key)
	if was = at != nil; !was {
		s.insert(&e)
	} else if before = rec.mark(); before.Version > e.Version {
		return before, true, false
	} else {
		s.replace(at, rec, &e)
	}
	s.tidy()
	return before, was, true
}

// SetMeta changes version and deadline of a present key. It answers what they
// were before, if it was there.
func (s *Store) SetMeta(hash uint64, key []byte, version uint64, deadline int64) (before Mark, was bool) {
	at, rec := s.find(hash, key)
	if at == nil {
		return Mark{}, false
	}
	before = s.remark(at, rec, hash, version, deadline)
	s.tidy()
	return before, true
}

// Delete removes a key. It answers what it was, if it was there.
func (s *Store) Delete(hash uint64, key []byte) (before Mark, was bool) {
	at, _ := s.find(hash, key)
	return s.leave(at, hash)
}

// DeleteVersion removes the entry with this hash and version: how the leaseholder
// names what it evicts. It answers what it was, if it was there.
func (s *Store) DeleteVersion(hash, version uint64) (before Mark, was bool) {
	return s.leave(s.findVersion(hash, version), hash)
}

func (s *Store) leave(at *uint64, hash uint64) (before Mark, was bool) {
	if at == nil {
		return Mark{}, false
	}
	before = s.remove(at, hash)
	s.tidy()
	return before, true
}

// Reserve says that n new entries are about to be set whose hashes lie in [lo, hi], in
// their order or nearly so, so that the index makes room for them at once. Nothing depends
// on its being true.
func (s *Store) Reserve(lo, hi uint64, n int) {
	s.last.at, s.seen.at, s.stale = nil, nil, true
	s.index.reserve(uint32(lo>>32), uint32(hi>>32), n, s.cfg.BudgetBytes/entryLeast, s.cfg.Pool)
}

// Range calls yield for every entry whose hash is in [lo, hi], bucket by bucket
// in rising hash order of the buckets, until yield says false. The store must
// not change meanwhile; yield may look keys up.
func (s *Store) Range(lo, hi uint64, yield func(Entry) bool) {
	var scratch []byte // beside the store's, and gone with the walk
	s.index.walk(uint32(lo>>32), uint32(hi>>32), s.warmLine, func(at *uint64) bool {
		rec := s.read(*at, &scratch)
		h := s.hash(rec.key())
		if h < lo || h > hi {
			return true
		}
		e := s.entryOf(h, rec)
		e.Protected = slotRun(*at)/2 == protected
		return yield(e)
	})
}
