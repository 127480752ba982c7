package lru

import "unsafe"

// What the store does to single entries, at the address of their slot.

// find is the slot and the record of a key, nil when it is not there.
func (s *Store) find(hash uint64, key []byte) (*uint64, record) {
	if s.seen.at != nil && s.seen.hash == hash {
		if rec := s.view(*s.seen.at); string(rec.key()) == string(key) {
			return s.seen.at, rec
		}
	}
	hi := uint32(hash >> 32)
	g := s.index.group(hi)
	l, tag, second := g.line(g.bucket(hi)), uint64(hi)<<(64-tagBits), uint64(0)
	for level := 0; ; level++ {
		for i := 1; i <= slotsPerLine; i++ {
			if (l[i]^tag)>>(64-tagBits) == 0 && l.used(i) {
				if rec := s.approach(l[i]); string(rec.key()) == string(key) {
					return &l[i], rec
				}
			}
		}
		if l.next() == 0 {
			return nil, nil
		}
		if level == 1 {
			second = secondHash(key)
		}
		l = s.index.step(l, level, second)
	}
}

// approach is view for a record that is likely to be read to its end: its next lines
// are asked for together with the first, not after it.
func (s *Store) approach(slot uint64) record {
	r := &s.runs[slotRun(slot)]
	pos := r.position(slotPos(slot))
	p, room := r.at(pos)
	if room > 3*lineBytes {
		prefetch3(p)
		if n := (*(*meta)(unsafe.Add(p, 8))).used(); n <= room {
			return unsafe.Slice((*byte)(p), n)
		}
	}
	return r.record(pos, &s.scratch)
}

// locate is the slot that names a place in a run, whose record is an entry's.
func (s *Store) locate(hash uint64, key []byte, id int, pos uint64) *uint64 {
	hi := uint32(hash >> 32)
	want := makeSlot(hi, id, pos, 0)
	g := s.index.group(hi)
	l, second := g.line(g.bucket(hi)), uint64(0)
	for level := 0; ; level++ {
		for i := 1; i <= slotsPerLine; i++ {
			if (l[i]^want)&^hitsMask == 0 && l.used(i) {
				return &l[i]
			}
		}
		if level == 1 {
			second = secondHash(key)
		}
		l = s.index.step(l, level, second)
	}
}

// findVersion is the slot of the entry with this hash and version, nil when there
// is none.
func (s *Store) findVersion(hash, version uint64) (at *uint64) {
	s.index.under(uint32(hash>>32), func(slot *uint64) bool {
		if rec := s.view(*slot); rec.version() == version && s.hash(rec.key()) == hash {
			at = slot
		}
		return at == nil
	})
	return at
}

// view is the record of a slot, valid until the next one.
func (s *Store) view(slot uint64) record { return s.read(slot, &s.scratch) }

// read is the record of a slot, copied to scratch when it reaches over the end of
// a segment.
func (s *Store) read(slot uint64, scratch *[]byte) record {
	r := &s.runs[slotRun(slot)]
	return r.record(r.position(slotPos(slot)), scratch)
}

// record is the record at a position.
func (r *run) record(pos uint64, scratch *[]byte) record {
	p, room := r.at(pos)
	if room >= headBytes {
		if n := (*(*meta)(unsafe.Add(p, 8))).used(); n <= room {
			return unsafe.Slice((*byte)(p), n)
		}
	}
	return r.read(pos, r.meta(pos).used(), scratch)
}

// meta is the second word of the record at a position.
func (r *run) meta(pos uint64) meta { return meta(*r.word(pos + 8)) }

func (r *run) setMeta(pos uint64, m meta) { *r.word(pos + 8) = uint64(m) }

func (s *Store) entry(hash, slot uint64) Entry { return s.entryOf(hash, s.view(slot)) }

func (s *Store) entryOf(hash uint64, rec record) Entry {
	return Entry{hash, rec.version(), rec.deadline(), rec.key(), s.valueOf(rec), false}
}

func (s *Store) valueOf(rec record) []byte {
	if rec.meta().extended() {
		return s.extents.at(rec.extent())
	}
	return rec.place()
}

func (r record) mark() Mark { return Mark{r.version(), r.deadline()} }

// insert files a new entry.
func (s *Store) insert(e *Entry) {
	s.written(e.Hash, e.Version)
	q := s.admit(e.Hash)
	if e.Protected {
		q = protected
	}
	hi := uint32(e.Hash >> 32)
	id, pos := s.write(s.queues[q].newest(q), metaOf(e, s.inline), e)
	at := s.index.insert(hi, makeSlot(hi, id, pos, 0), s.cfg.Pool)
	s.count++
	s.live += int64(len(e.Key) + len(e.Value))
	s.setTimer(at, hi, e.Deadline)
}

// write appends a record with a fresh value to a run.
func (s *Store) write(id int, m meta, e *Entry) (run int, pos uint64) {
	s.keeping = keeping{}
	size := m.size()
	r := s.begin(id, size)
	pos = r.extend(size, s.cfg.Pool)
	number := uint64(0)
	if m.extended() {
		number = s.extents.put(e.Value, s.cfg.Pool)
	}
	r.fill(pos, m, e, number)
	s.queues[id/2].bytes += m.weight()
	return id, pos
}

// begin is a run that is about to be appended to.
func (s *Store) begin(id, size int) *run {
	r := &s.runs[id]
	if r.head == r.tail {
		r.shift = s.shift
	}
	s.work += size
	r.reach = max(r.reach, size)
	s.stale = true
	return r
}

// fill writes the parts of a record to its place.
func (r *run) fill(pos uint64, m meta, e *Entry, extent uint64) {
	value := e.Value
	if m.extended() {
		value = (*[extentNumber]byte)(unsafe.Pointer(&extent))[:]
	}
	p, room := r.at(pos)
	if m.size() > room {
		r.fillPieces(pos, m, e, value)
		return
	}
	b := unsafe.Slice((*byte)(p), m.size())
	*(*uint64)(p), *(*meta)(unsafe.Add(p, 8)) = e.Version, m
	if m.expires() {
		*(*int64)(unsafe.Add(p, headBytes)) = e.Deadline
	}
	copy(b[m.keyAt():], e.Key)
	copy(b[m.keyAt()+len(e.Key):], value)
}

// fillPieces is fill for a record that reaches over the end of a segment.
func (r *run) fillPieces(pos uint64, m meta, e *Entry, value []byte) {
	*r.word(pos) = e.Version
	r.setMeta(pos, m)
	if m.expires() {
		*r.word(pos + headBytes) = uint64(e.Deadline)
	}
	at := pos + uint64(m.keyAt())
	r.write(at, e.Key)
	r.write(at+uint64(len(e.Key)), value)
}

// replace gives an entry a new version, deadline and value: in its place when they
// fit there and leave little of it unused, else in a new record of the same queue.
func (s *Store) replace(at *uint64, rec record, e *Entry) Mark {
	s.keeping = keeping{}
	s.preserve(e.Hash, rec)
	s.written(e.Hash, e.Version)
	before, old := rec.mark(), rec.meta()
	m := metaOf(e, s.inline).withTimer(old.timer())
	if old.expires() {
		m |= expiresFlag
	}
	s.live += int64(len(e.Value) - old.valueLen())
	if slack, ok := fits(m, old); ok {
		s.overwrite(at, rec, m.withSlack(slack), e)
	} else {
		s.rewrite(at, m, e)
	}
	s.setTimer(at, uint32(e.Hash>>32), e.Deadline)
	return before
}

// fits says whether a record can take the place of another one, and what slack it
// leaves then.
func fits(m, old meta) (slack int, ok bool) {
	room := old.size()
	slack = room - align(m.used())
	switch {
	case m.expires() != old.expires(), m.extended() != old.extended():
		return 0, false
	case m.extended() && extentBytes(m.valueLen()) != extentBytes(old.valueLen()):
		return 0, false
	}
	return slack, slack >= 0 && slack <= slackMax && slack <= max(64, room/4)
}

// overwrite puts an entry's new parts into its old record.
func (s *Store) overwrite(at *uint64, rec record, m meta, e *Entry) {
	r := &s.runs[slotRun(*at)]
	pos := r.position(slotPos(*at))
	number := uint64(0)
	if m.extended() {
		number = rec.extent()
		s.extents.overwrite(number, e.Value)
	}
	r.fill(pos, m, e, number)
}

// rewrite gives an entry a new record in its queue.
func (s *Store) rewrite(at *uint64, m meta, e *Entry) {
	slot, q := *at, slotRun(*at)/2
	s.dropExtent(slot)
	id, pos := s.write(s.queues[q].newest(q), m, e)
	*at = makeSlot(uint32(e.Hash>>32), id, pos, slot&hitsMask)
	s.kill(slot)
}

// remark changes version and deadline of an entry.
func (s *Store) remark(at *uint64, rec record, hash, version uint64, deadline int64) Mark {
	s.keeping = keeping{}
	s.preserve(hash, rec)
	s.written(hash, version)
	before, m := rec.mark(), rec.meta()
	if deadline != 0 && !m.expires() {
		q := slotRun(*at) / 2
		m = m.withSlack(0) | expiresFlag
		s.transfer(at, hash, s.queues[q].newest(q), *at&hitsMask, m)
	}
	r := &s.runs[slotRun(*at)]
	pos := r.position(slotPos(*at))
	*r.word(pos) = version
	if m.expires() {
		*r.word(pos + headBytes) = uint64(deadline)
	}
	s.setTimer(at, uint32(hash>>32), deadline)
	return before
}

// remove takes an entry out.
func (s *Store) remove(at *uint64, hash uint64) Mark {
	rec := s.view(*at)
	s.preserve(hash, rec)
	before, m := rec.mark(), rec.meta()
	s.dropExtent(*at)
	if m.timer() != 0 {
		s.timers.filed--
		s.timers.check = true
	}
	s.count--
	s.live -= int64(m.keyLen() + m.valueLen())
	slot := *at
	s.index.remove(uint32(hash>>32), at, s.cfg.Pool)
	s.kill(slot)
	return before
}

// dropExtent gives the extent of a record back, if it has one.
func (s *Store) dropExtent(slot uint64) {
	rec := s.view(slot)
	if m := rec.meta(); m.extended() {
		s.queues[slotRun(slot)/2].bytes -= m.weight() - int64(m.size())
		s.extents.drop(rec.extent(), s.cfg.Pool)
	}
}

// kill marks a record dead that no slot names any more.
func (s *Store) kill(slot uint64) {
	r := &s.runs[slotRun(slot)]
	pos := r.position(slotPos(slot))
	m := r.meta(pos)
	r.setMeta(pos, m|deadFlag)
	r.dead += int64(m.size())
	s.queues[slotRun(slot)/2].bytes -= int64(m.size())
	s.work += m.size()
	s.stale = true
	s.trim(r)
}

// trim moves the tail on over dead records.
func (s *Store) trim(r *run) {
	for r.head != r.tail {
		m := r.meta(r.tail)
		if !m.dead() {
			return
		}
		r.dead -= int64(m.size())
		r.pass(m.size(), s.cfg.Pool)
	}
}

// transfer moves an entry's record to the head of a run. m is what it is there:
// with or without its slack, and with room for a deadline if it had none.
func (s *Store) transfer(at *uint64, hash uint64, id int, hits uint64, m meta) {
	slot, rec := *at, s.view(*at)
	old := rec.meta()
	r := s.begin(id, m.size())
	pos := r.extend(m.size(), s.cfg.Pool)
	*r.word(pos) = rec.version()
	r.setMeta(pos, m)
	if m.expires() {
		*r.word(pos + headBytes) = uint64(rec.deadline())
	}
	r.write(pos+uint64(m.keyAt()), rec[old.keyAt():])
	*at = makeSlot(uint32(hash>>32), id, pos, hits)
	s.queues[id/2].bytes += m.weight()
	s.queues[slotRun(slot)/2].bytes -= m.weight() - int64(m.size())
	s.kill(slot)
}

// hashOf is the hash of the key of a slot.
func (s *Store) hashOf(slot uint64) uint64 { return s.hash(s.view(slot).key()) }

// secondOf is the second hash of the key of a slot.
func (s *Store) secondOf(slot uint64) uint64 { return secondHash(s.view(slot).key()) }
