package lru

// Entry is one key as the store holds it. Key and Value alias the store's memory
// and are valid until the next change of the store.
type Entry struct {
	Hash     uint64
	Version  uint64
	Deadline int64 // unix ms; 0 = none
	Key      []byte
	Value    []byte
}

// slot is an Entry at rest. Slots live in one slice and name each other by
// index, so the garbage collector sees one pointer per entry (its bytes).
type slot struct {
	hash     uint64
	version  uint64
	deadline int64
	data     []byte // key, then value
	keyLen   uint32
	chain    int32 // next slot of the bucket, or of the free list
	prev     int32 // toward the head of the queue
	next     int32 // toward the tail of the queue
	filed    int32 // place in the expiry heap; none = not in it
	queue    queueID
	hits     uint8 // 0..3
}

// slotOverhead is what an entry costs beside its bytes: 72 for the slot, 6 for
// its share of the buckets, 10 for the slots that the growing slice holds ready.
const slotOverhead = 88

// compactMin is how many slots a store may hold without asking whether they are used.
const compactMin = 1024

// Mark is what a change found in the place of the key.
type Mark struct {
	Version  uint64
	Deadline int64
}

const none = int32(-1)

// Store holds the entries of one shard. The zero Store cannot be used; see New.
type Store struct {
	budget  int64
	held    int64
	count   int
	slots   []slot
	free    int32
	buckets []int32 // index = high bits of the hash; a run of buckets is a hash range
	shift   uint    // 64 - log2(len(buckets))
	queues  [2]queue
	ghost   []uint32 // lossy table of evicted hashes
	expiry  []expiryRecord
	live    int64 // key and value bytes
}

// Config fixes what a Store is for.
type Config struct {
	BudgetBytes int64  // what it should hold at most
	Secret      uint64 // of the keyed hash: Entry.Hash is Hash(Secret, Key)
}

// New makes an empty store.
func New(cfg Config) *Store {
	s := &Store{budget: cfg.BudgetBytes}
	s.Clear()
	return s
}

// Clear forgets everything, ghosts included, and gives the memory back.
func (s *Store) Clear() {
	s.held, s.count, s.live, s.free = 0, 0, 0, none
	s.slots, s.ghost, s.expiry = nil, nil, nil
	s.buckets, s.shift = []int32{none}, 64
	s.queues = [2]queue{{none, none, 0}, {none, none, 0}}
}

// Len is the number of entries, expired ones included until they are removed.
func (s *Store) Len() int { return s.count }

// Held is the number of bytes the store counts against its budget.
func (s *Store) Held() int64 { return s.held }

// Live is the number of key and value bytes.
func (s *Store) Live() int64 { return s.live }

// Budget is the number of bytes the store should hold at most.
func (s *Store) Budget() int64 { return s.budget }

// SetBudget changes the budget; the owner then evicts while Over is positive.
func (s *Store) SetBudget(bytes int64) { s.budget = bytes }

// Over is by how many bytes the store is above its budget, 0 when it is not.
func (s *Store) Over() int64 { return max(0, s.held-s.budget) }

// Peek finds a key without counting a hit.
func (s *Store) Peek(hash uint64, key []byte) (Entry, bool) {
	if i := s.find(hash, key); i != none {
		return s.entry(i), true
	}
	return Entry{}, false
}

// Get finds a key and counts the hit, which is what keeps it from eviction.
func (s *Store) Get(hash uint64, key []byte) (Entry, bool) {
	i := s.find(hash, key)
	if i == none {
		return Entry{}, false
	}
	if e := &s.slots[i]; e.hits < maxHits {
		e.hits++
	}
	return s.entry(i), true
}

// Usage is how an entry is kept.
type Usage struct {
	Bytes int64 // counted against the budget
	Hits  uint8 // since it was last moved, 3 at most
}

// Usage says how a key is kept, without counting a hit.
func (s *Store) Usage(hash uint64, key []byte) (u Usage, ok bool) {
	i := s.find(hash, key)
	if i == none {
		return u, false
	}
	e := &s.slots[i]
	u = Usage{Bytes: int64(cap(e.data)) + slotOverhead, Hits: e.hits}
	if e.filed != none {
		u.Bytes += expiryOverhead
	}
	return u, true
}

// Set stores a copy of the entry, replacing the key's present one. It is the
// owner's business that the version is newer. Nothing is allocated when the key
// exists and the new bytes fit where the old ones were. It answers what the key
// was before, if it was there.
func (s *Store) Set(e Entry) (before Mark, was bool) {
	i := s.find(e.Hash, e.Key)
	if was = i != none; was {
		before = s.mark(i)
		s.overwrite(i, e)
	} else {
		i = s.insert(e)
	}
	s.slots[i].version = e.Version
	s.setDeadline(i, e.Deadline)
	return before, was
}

// SetMeta changes version and deadline of a present key. It answers what they
// were before, if it was there.
func (s *Store) SetMeta(hash uint64, key []byte, version uint64, deadline int64) (before Mark, was bool) {
	i := s.find(hash, key)
	if i == none {
		return Mark{}, false
	}
	before = s.mark(i)
	s.slots[i].version = version
	s.setDeadline(i, deadline)
	return before, true
}

// Delete removes a key. It answers what it was, if it was there.
func (s *Store) Delete(hash uint64, key []byte) (before Mark, was bool) {
	return s.take(s.find(hash, key))
}

// DeleteVersion removes the entry with this hash and version: how the leaseholder
// names what it evicts. It answers what it was, if it was there.
func (s *Store) DeleteVersion(hash, version uint64) (before Mark, was bool) {
	return s.take(s.findVersion(hash, version))
}

func (s *Store) take(i int32) (before Mark, was bool) {
	if i == none {
		return Mark{}, false
	}
	before = s.mark(i)
	s.remove(i)
	return before, true
}

func (s *Store) mark(i int32) Mark { return Mark{s.slots[i].version, s.slots[i].deadline} }

func (s *Store) findVersion(hash, version uint64) int32 {
	for i := s.buckets[s.bucket(hash)]; i != none; i = s.slots[i].chain {
		if s.slots[i].hash == hash && s.slots[i].version == version {
			return i
		}
	}
	return none
}

// Range calls yield for every entry whose hash is in [lo, hi], bucket by bucket
// in rising hash order of the buckets, until yield says false. The store must
// not change meanwhile.
func (s *Store) Range(lo, hi uint64, yield func(Entry) bool) {
	for b := s.bucket(lo); b <= s.bucket(hi); b++ {
		for i := s.buckets[b]; i != none; i = s.slots[i].chain {
			if h := s.slots[i].hash; h >= lo && h <= hi && !yield(s.entry(i)) {
				return
			}
		}
	}
}

func (s *Store) entry(i int32) Entry {
	e := &s.slots[i]
	return Entry{e.hash, e.version, e.deadline, e.data[:e.keyLen:e.keyLen], e.data[e.keyLen:]}
}

func (s *Store) bucket(hash uint64) uint64 { return hash >> s.shift }

func (s *Store) find(hash uint64, key []byte) int32 {
	for i := s.buckets[s.bucket(hash)]; i != none; i = s.slots[i].chain {
		e := &s.slots[i]
		if e.hash == hash && string(e.data[:e.keyLen]) == string(key) {
			return i
		}
	}
	return none
}

func (s *Store) insert(e Entry) int32 {
	if s.count >= len(s.buckets) {
		s.grow()
	}
	i := s.free
	if i != none {
		s.free = s.slots[i].chain
	} else {
		i = int32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	n := len(e.Key) + len(e.Value)
	data := allocate(n)
	copy(data[copy(data, e.Key):], e.Value)
	b := s.bucket(e.Hash)
	s.slots[i] = slot{hash: e.Hash, data: data, keyLen: uint32(len(e.Key)), chain: s.buckets[b], filed: none}
	s.buckets[b] = i
	s.count++
	s.live += int64(n)
	s.held += int64(cap(data)) + slotOverhead
	s.admit(i)
	return i
}

// allocate makes n bytes and lets them have the capacity that the allocator
// rounds n up to, so that it is counted, and used by what fits into it later.
func allocate(n int) []byte { return append([]byte(nil), make([]byte, n)...) }

// wasteMax is what an overwritten entry may leave unused beyond its own size.
const wasteMax = 64

// overwrite puts new bytes in the place of the old ones when they fit and waste
// at most about half of it.
func (s *Store) overwrite(i int32, e Entry) {
	old := &s.slots[i]
	n := len(e.Key) + len(e.Value)
	s.live += int64(n - len(old.data))
	before := int64(cap(old.data))
	if n <= cap(old.data) && cap(old.data) <= 2*n+wasteMax {
		old.data = old.data[:n]
	} else {
		data := allocate(n)
		copy(data, e.Key)
		old.data = data
	}
	copy(old.data[old.keyLen:], e.Value)
	after := int64(cap(old.data))
	s.held += after - before
	s.queues[old.queue].bytes += after - before
}

func (s *Store) remove(i int32) {
	e := &s.slots[i]
	s.unfile(i)
	s.unlink(i)
	for p := &s.buckets[s.bucket(e.hash)]; ; p = &s.slots[*p].chain {
		if *p == i {
			*p = e.chain
			break
		}
	}
	s.count--
	s.live -= int64(len(e.data))
	s.held -= int64(cap(e.data)) + slotOverhead
	*e = slot{chain: s.free, queue: noQueue}
	s.free = i
	if len(s.slots) > compactMin && s.count < len(s.slots)/2 {
		s.compact()
	}
}

// grow doubles the bucket array. Shards hold tens of thousands of entries, so
// this stop is under a millisecond; incremental growth was refused as not worth
// its second index.
func (s *Store) grow() { s.rehash(max(8, 2*len(s.buckets))) }

// rehash builds the bucket array anew, for at least n entries.
func (s *Store) rehash(n int) {
	s.shift = 64
	for 1<<(64-s.shift) < n {
		s.shift--
	}
	s.buckets = make([]int32, 1<<(64-s.shift))
	for b := range s.buckets {
		s.buckets[b] = none
	}
	for i := range s.slots {
		if e := &s.slots[i]; e.queue != noQueue {
			b := s.bucket(e.hash)
			e.chain = s.buckets[b]
			s.buckets[b] = int32(i)
		}
	}
}

// compact moves the entries together when most slots are free: a shard whose
// many small entries gave way to a few large ones would otherwise keep memory
// that nobody counts. It costs a step per slot, once per as many removals.
func (s *Store) compact() {
	places := make([]int32, len(s.slots)) // where each slot goes
	slots := make([]slot, 0, s.count+s.count/4)
	for i := range s.slots {
		if s.slots[i].queue != noQueue {
			places[i] = int32(len(slots))
			slots = append(slots, s.slots[i])
		}
	}
	move := func(i *int32) {
		if *i != none {
			*i = places[*i]
		}
	}
	for i := range slots {
		move(&slots[i].prev)
		move(&slots[i].next)
	}
	for q := range s.queues {
		move(&s.queues[q].head)
		move(&s.queues[q].tail)
	}
	for i := range s.expiry {
		move(&s.expiry[i].slot)
	}
	s.slots, s.free = slots, none
	s.expiry = append(make([]expiryRecord, 0, len(s.expiry)+len(s.expiry)/4), s.expiry...)
	if len(s.ghost) > ghostMin && len(s.ghost) > 4*s.count {
		s.forgetGhosts()
	}
	s.rehash(s.count + 1)
}
