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
	queue    queueID
	hits     uint8 // 0..3
}

// slotOverhead is what an entry costs beside its bytes: the slot and its share
// of the bucket array.
const slotOverhead = 88

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
	expiry  expiryHeap
	live    int64 // key and value bytes
}

// New makes an empty store that should hold at most budget bytes.
func New(budget int64) *Store {
	s := &Store{budget: budget}
	s.Clear()
	return s
}

// Clear forgets everything, ghosts included, and gives the memory back.
func (s *Store) Clear() {
	s.held, s.count, s.live, s.free = 0, 0, 0, none
	s.slots, s.ghost, s.expiry = nil, nil, expiryHeap{}
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

// Set stores a copy of the entry, replacing the key's present one. It is the
// owner's business that the version is newer. Nothing is allocated when the key
// exists and the new bytes fit where the old ones were.
func (s *Store) Set(e Entry) {
	i := s.find(e.Hash, e.Key)
	if i == none {
		i = s.insert(e)
	} else {
		s.overwrite(i, e)
	}
	s.slots[i].version = e.Version
	s.setDeadline(i, e.Deadline)
}

// SetMeta changes version and deadline of a present key and reports whether it is present.
func (s *Store) SetMeta(hash uint64, key []byte, version uint64, deadline int64) bool {
	i := s.find(hash, key)
	if i == none {
		return false
	}
	s.slots[i].version = version
	s.setDeadline(i, deadline)
	return true
}

// Delete removes a key and reports whether it was there.
func (s *Store) Delete(hash uint64, key []byte) bool {
	i := s.find(hash, key)
	if i == none {
		return false
	}
	s.remove(i)
	return true
}

// PeekVersion finds the entry with this hash and version: how the leaseholder
// names what it evicts.
func (s *Store) PeekVersion(hash, version uint64) (Entry, bool) {
	if i := s.findVersion(hash, version); i != none {
		return s.entry(i), true
	}
	return Entry{}, false
}

// DeleteVersion removes the entry with this hash and version and reports whether
// it was there.
func (s *Store) DeleteVersion(hash, version uint64) bool {
	i := s.findVersion(hash, version)
	if i == none {
		return false
	}
	s.remove(i)
	return true
}

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
	data := make([]byte, n)
	copy(data[copy(data, e.Key):], e.Value)
	b := s.bucket(e.Hash)
	s.slots[i] = slot{hash: e.Hash, data: data, keyLen: uint32(len(e.Key)), chain: s.buckets[b]}
	s.buckets[b] = i
	s.count++
	s.live += int64(n)
	s.held += int64(cap(data)) + slotOverhead
	s.admit(i)
	return i
}

// overwrite puts new bytes in the place of the old ones when they fit and do not
// waste half of it.
func (s *Store) overwrite(i int32, e Entry) {
	old := &s.slots[i]
	n := len(e.Key) + len(e.Value)
	s.live += int64(n - len(old.data))
	before := int64(cap(old.data))
	if n <= cap(old.data) && n >= cap(old.data)/2 {
		old.data = old.data[:n]
	} else {
		data := make([]byte, n)
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
	if e.deadline != 0 {
		s.expiry.stale++
	}
	*e = slot{chain: s.free, queue: noQueue}
	s.free = i
}

// grow doubles the bucket array. Shards hold tens of thousands of entries, so
// this stop is under a millisecond; incremental growth was refused as not worth
// its second index.
func (s *Store) grow() {
	n := max(8, 2*len(s.buckets))
	s.shift = 64
	for 1<<(64-s.shift) < n {
		s.shift--
	}
	s.buckets = make([]int32, n)
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
