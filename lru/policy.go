package lru

// Policy says which entries leave first.
type Policy uint8

// Policies.
const (
	// Segmented: new entries pass through a queue of a tenth of the bytes; those that
	// were hit twice there, or came back soon after they left it, enter the protected
	// queue, where a hit is a second chance.
	Segmented Policy = iota
	// LRU and SLRU are there to be compared with: one queue, or probation of a fifth and
	// a protected one, each in order of use. What a hit moves is a record, so their owner
	// evicts after a Get as after a Set.
	LRU
	SLRU
)

// Admission says who may enter the protected queue on the strength of coming back.
type Admission uint8

// Admissions.
const (
	AdmitAll     Admission = iota
	AdmitTinyLFU           // only if nobody who was asked for more often has to leave for it
)

const (
	hitsMask      = 3
	maxHits       = 3
	promotionHits = 2
	// protectedPercent of the bytes may be protected before the protected queue pays
	// for evictions itself.
	protectedPercent = 90
	slruPercent      = 80
	// A store of a few hundred entries gives more to probation: a tenth of it is a dozen
	// or two, which an entry leaves before its second use. Recorded traces in shards of
	// 142 to 403 entries gain up to 0.6 points, or lose 0.2; in smaller and larger ones
	// more is lost than gained.
	fewMin     = 128
	fewMax     = 512
	fewPercent = 80

	// One call of Victim moves this much at most, then names whoever is next. Bursts
	// are rare, and the loss in hit ratio is not measurable; a write that had to look
	// at every entry of a shard would be.
	movesMax     = 32
	moveBytesMax = 64 << 10
)

// victim is what Victim named last, so that Evict need not search.
type victim struct {
	at            *uint64
	hash, version uint64
}

// place is where an entry was found.
type place struct {
	at   *uint64
	hash uint64
}

// admit chooses the queue of a new entry: protected when its hash was evicted
// lately (it came back too soon), else probation.
func (s *Store) admit(hash uint64) int {
	q := probation
	if s.ghost.take(hash) && s.welcome(hash) {
		q = protected
	}
	if s.cfg.Admission == AdmitTinyLFU {
		s.sketch.resize(s.count, s.index.single.piece, s.cfg.Pool)
		s.sketch.count(hash)
	}
	return q
}

// welcome says whether a hash that came back may enter the protected queue: if somebody
// has to leave there for it, with this request it must have been asked for as often.
func (s *Store) welcome(hash uint64) bool {
	if s.cfg.Admission != AdmitTinyLFU || s.giver() != protected {
		return true
	}
	r := &s.runs[s.oldest(protected)]
	for pos, n := r.tail, 0; pos != r.head && n < movesMax; n++ {
		rec := r.record(pos, &s.scratch)
		if m := rec.meta(); !m.dead() {
			last := s.hash(rec.key())
			if at := s.locate(last, rec.key(), s.oldest(protected), pos); *at&hitsMask == 0 {
				return s.sketch.estimate(hash)+1 >= s.sketch.estimate(last)
			}
		}
		pos += uint64(rec.meta().size())
	}
	return true
}

// use is what a hit does unless it only counts: in the policies in order of use it
// moves the entry.
func (s *Store) use(at *uint64, hash uint64) Entry {
	if s.cfg.Admission == AdmitTinyLFU {
		s.sketch.count(hash)
	}
	if s.cfg.Policy != Segmented {
		q := slotRun(*at) / 2
		if s.cfg.Policy == SLRU {
			q = protected
		}
		s.keeping = keeping{}
		s.transfer(at, hash, s.queues[q].newest(q), 0, s.view(*at).meta())
		s.tidy()
	}
	return s.entry(hash, *at)
}

// Victim names the entry that should leave next, never one of version keep (those
// just written; 0 = none) unless there are no others. Entries that earned it are
// promoted or get their second chance on the way, so repeated calls without a
// removal may name different entries.
func (s *Store) Victim(keep uint64) (Entry, bool) {
	if s.count == 0 {
		return Entry{}, false
	}
	kept := s.keptBefore(keep)
	for moves, bytes := 0, 0; ; {
		q := s.giver()
		if kept[q] == s.queues[q].bytes && kept[1-q] < s.queues[1-q].bytes {
			q = 1 - q // all of it was just written: the other one has to give
		}
		at, hash, rec := s.tail(s.oldest(q))
		m := rec.meta()
		if keep != 0 && rec.version() == keep && kept[q] < s.queues[q].bytes {
			s.transfer(at, hash, s.queues[q].newest(q), *at&hitsMask, m)
			kept[q] += m.weight()
			continue
		}
		if moves < movesMax && bytes < moveBytesMax && s.spare(at, hash, q, m) {
			moves, bytes = moves+1, bytes+m.size()
			kept[s.spared(q)] = 0 // it stands behind those that were passed over
			continue
		}
		s.last = victim{at, hash, rec.version()}
		s.keeping.version = keep
		for q := range kept {
			s.keeping.all[q] = kept[q] == s.queues[q].bytes
		}
		return s.entryOf(hash, rec), true
	}
}

// keeping is what Victim found out about the entries of a version that it may not name,
// for its next call: a large transaction evicts thousands, and would pass over all of
// its own entries for each of them. It holds until something is written.
type keeping struct {
	version uint64
	all     [queues]bool // a queue has no others
}

// keptBefore is how many bytes of each queue need not be looked at again, because
// entries of version keep were seen there and no others.
func (s *Store) keptBefore(keep uint64) (bytes [queues]int64) {
	if keep == 0 || s.keeping.version != keep {
		return bytes
	}
	for q, all := range s.keeping.all {
		if all {
			bytes[q] = s.queues[q].bytes
		}
	}
	return bytes
}

// giver is the queue that has to give.
func (s *Store) giver() int {
	pro, prot := s.queues[probation].bytes, s.queues[protected].bytes
	if pro == 0 || prot*100 > (pro+prot)*s.protectedPercent() {
		return protected
	}
	return probation
}

// protectedPercent is how many percent of the bytes may be protected.
func (s *Store) protectedPercent() int64 {
	switch {
	case s.cfg.Policy == SLRU:
		return slruPercent
	case s.count >= fewMin && s.count < fewMax:
		return fewPercent
	}
	return protectedPercent
}

// spare gives the entry at the tail of a queue what it earned, if it earned anything:
// in SLRU a protected one goes to probation.
func (s *Store) spare(at *uint64, hash uint64, q int, m meta) bool {
	hits := *at & hitsMask
	switch {
	case s.cfg.Policy == SLRU && q == protected:
		s.transfer(at, hash, s.queues[probation].newest(probation), 0, m.withSlack(0))
		return true
	case s.cfg.Policy != Segmented:
		return false
	case q == probation && hits >= promotionHits:
		hits = 0
	case q == protected && hits > 0:
		hits--
	default:
		return false
	}
	if s.cfg.Protected != nil {
		s.cfg.Protected(hash, s.view(*at).version())
	}
	s.transfer(at, hash, s.queues[protected].newest(protected), hits, m.withSlack(0))
	return true
}

// spared is the queue that what is spared of a queue goes to.
func (s *Store) spared(q int) int {
	if s.cfg.Policy == SLRU && q == protected {
		return probation
	}
	return protected
}

// tail is the oldest entry of a run.
func (s *Store) tail(id int) (at *uint64, hash uint64, rec record) {
	r := &s.runs[id]
	rec = r.record(r.tail, &s.scratch)
	hash = s.hash(rec.key())
	return s.locate(hash, rec.key(), id, r.tail), hash, rec
}

// Protect moves a named entry to the head of the protected queue, as Victim does with
// those that earned it by hits: for copies, which do not see the hits. It does nothing
// when the entry is not there.
func (s *Store) Protect(hash, version uint64) {
	at := s.findVersion(hash, version)
	if at == nil {
		return
	}
	s.keeping = keeping{}
	hits := *at & hitsMask
	if slotRun(*at)/2 == probation {
		hits = 0
	}
	s.transfer(at, hash, s.queues[protected].newest(protected), hits, s.view(*at).meta().withSlack(0))
	s.tidy()
}

// Evict removes a named victim and remembers its hash, so that it is protected
// at once when it comes back. It answers what it was, if it was there.
func (s *Store) Evict(hash, version uint64) (before Mark, was bool) {
	at := s.last.at
	if at == nil || s.last.hash != hash || s.last.version != version {
		at = s.findVersion(hash, version)
	}
	if at == nil {
		return Mark{}, false
	}
	if s.cfg.Policy == Segmented && slotRun(*at)/2 == probation {
		s.ghost.add(hash, s.count, s.index.single.piece, s.cfg.Pool)
	}
	return s.leave(at, hash)
}
