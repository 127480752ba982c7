package lru

// queueID names one of the two segments an entry can be in.
type queueID uint8

// A new entry starts in probation; what is hit often enough moves to protected.
const (
	probation queueID = iota
	protected
	noQueue
)

const (
	maxHits       = 3
	promotionHits = 2
	// protectedPercent of the held bytes may be protected before the protected
	// segment pays for evictions itself.
	protectedPercent = 90
	ghostMin         = 64
)

// queue is a FIFO of slots: entries enter at the head and leave at the tail.
type queue struct {
	head, tail int32
	bytes      int64
}

// admit puts a new slot in its first segment: protected when its hash was
// evicted lately (it came back too soon), else probation.
func (s *Store) admit(i int32) {
	q := probation
	if s.takeGhost(s.slots[i].hash) {
		q = protected
	}
	s.push(q, i)
}

func (s *Store) push(q queueID, i int32) {
	e, list := &s.slots[i], &s.queues[q]
	e.queue, e.prev, e.next = q, none, list.head
	if list.head != none {
		s.slots[list.head].prev = i
	} else {
		list.tail = i
	}
	list.head = i
	list.bytes += int64(cap(e.data)) + slotOverhead
}

func (s *Store) unlink(i int32) {
	e := &s.slots[i]
	list := &s.queues[e.queue]
	if e.prev != none {
		s.slots[e.prev].next = e.next
	} else {
		list.head = e.next
	}
	if e.next != none {
		s.slots[e.next].prev = e.prev
	} else {
		list.tail = e.prev
	}
	list.bytes -= int64(cap(e.data)) + slotOverhead
}

func (s *Store) moveTo(q queueID, i int32) {
	s.unlink(i)
	s.push(q, i)
}

// Victim names the entry that should leave next, never the one of version keep (the
// one just written; 0 = none) unless it is the only one. Entries that earned it are
// promoted or get their second chance on the way, so repeated calls without a
// removal may name different entries. Every pass lowers a hit counter, so the
// search ends.
func (s *Store) Victim(keep uint64) (Entry, bool) {
	for range 4*s.count + 1 {
		i := s.candidate()
		if i == none {
			return Entry{}, false
		}
		switch e := &s.slots[i]; {
		case keep != 0 && e.version == keep && s.count > 1:
			s.moveTo(e.queue, i)
			if s.queues[e.queue].head == s.queues[e.queue].tail {
				// Alone in its segment: the other one has to give.
				return s.entry(s.queues[1-e.queue].tail), true
			}
		case e.queue == probation && e.hits >= promotionHits:
			e.hits = 0
			s.moveTo(protected, i)
		case e.queue == protected && e.hits > 0:
			e.hits--
			s.moveTo(protected, i)
		default:
			return s.entry(i), true
		}
	}
	return Entry{}, false
}

// candidate is the tail of the segment that has to give.
func (s *Store) candidate() int32 {
	pro, prot := &s.queues[probation], &s.queues[protected]
	if pro.tail == none || (prot.tail != none && prot.bytes*100 > s.held*protectedPercent) {
		return prot.tail
	}
	return pro.tail
}

// Evict removes a named victim and remembers its hash, so that it is protected
// at once when it comes back. It answers what it was, if it was there.
func (s *Store) Evict(hash, version uint64) (before Mark, was bool) {
	if before, was = s.DeleteVersion(hash, version); was {
		s.addGhost(hash)
	}
	return before, was
}

// The ghost table is direct-mapped and lossy: an unlucky newcomer overwrites an
// older ghost. It costs 4 bytes per place instead of a queue and an index.
func (s *Store) addGhost(hash uint64) {
	if len(s.ghost) < s.count || s.ghost == nil {
		s.growGhosts()
	}
	s.ghost[hash%uint64(len(s.ghost))] = ghostMark(hash)
}

// growGhosts doubles the table. A mark does not tell which of its two new places
// is its own, so it goes to both; what is in the other one is overwritten in time.
func (s *Store) growGhosts() {
	old := s.ghost
	s.ghost = make([]uint32, max(ghostMin, 2*len(old)))
	s.held += int64(4 * (len(s.ghost) - len(old)))
	copy(s.ghost[copy(s.ghost, old):], old)
}

// forgetGhosts gives the table back; the next eviction begins a small one.
func (s *Store) forgetGhosts() {
	s.held -= int64(4 * len(s.ghost))
	s.ghost = nil
}

func (s *Store) takeGhost(hash uint64) bool {
	if len(s.ghost) == 0 {
		return false
	}
	g := &s.ghost[hash%uint64(len(s.ghost))]
	if *g != ghostMark(hash) {
		return false
	}
	*g = 0
	return true
}

// ghostMark is never 0, which means an empty place.
func ghostMark(hash uint64) uint32 { return uint32(hash>>32) | 1 }
