package lru

import (
	"math/bits"
	"unsafe"
)

// Expiry: a hierarchical timing wheel of 5 levels with 64 slots each. A tick is
// 16 ms; a slot of level n stands for 64^n ticks, so the wheel reaches 199 days, and
// what is due later is looked at again by then.
//
// A slot is a list of records of 4 bytes, the upper half of a hash: 14 in a line of
// the index's heap, 4.6 bytes each. A record says "look at the entries with this
// upper half"; whether one of them is due is for the entry's deadline to say, so a
// log that moves its records does not touch the wheel.
//
// An entry remembers the slot that it is filed in. A later deadline leaves it there:
// keys whose TTL is renewed again and again are the common case and cost nothing so.
// An earlier one files it anew, and the old record is stale, as are those of entries
// that went away. When stale records are the majority, a second wheel is filled, a
// bucket of the index with each filing, and takes the first one's place.
const (
	tickShift    = 4 // ms
	wheelLevels  = 5
	wheelSlots   = 64
	slotShift    = 6
	cellRecords  = 2 * (lineBytes/8 - 1)
	staleMin     = 64
	cellsPerStep = 8
	wheelBytes   = int64(wheelLevels*wheelSlots*4 + wheelLevels*8 + 16)
)

// timers is the wheel of a store, and the one that is to follow it.
type timers struct {
	wheels [2]*wheel
	now    int    // the wheel that is filed into
	moving bool   // the other one is still there
	moved  bool   // but no entry is filed in it any more; else those at or above cursor are
	cursor uint32 // upper half of a hash
	tick   int64
	filed  int  // entries that have a place in a wheel
	check  bool // an entry that had one went away
}

// wheel is the slots, by level; a level is there when something was filed in it.
type wheel struct {
	levels  [wheelLevels]*[wheelSlots]uint32 // cells of the heap; 0 = none
	full    [wheelLevels]uint64              // slots with records
	records int
	held    int64
}

// head is the first cell of a slot.
func (w *wheel) head(slot int) *uint32 {
	level := &w.levels[slot/wheelSlots]
	if *level == nil {
		*level = new([wheelSlots]uint32)
		w.held += int64(unsafe.Sizeof(**level))
	}
	return &(*level)[slot%wheelSlots]
}

// newWheel makes an empty wheel.
func newWheel() *wheel { return &wheel{held: int64(unsafe.Sizeof(wheel{}))} }

// heldBytes is the memory of the wheels; their cells are the index's.
func (t *timers) heldBytes() int64 {
	n := int64(0)
	for _, w := range t.wheels {
		if w != nil {
			n += w.held
		}
	}
	return n
}

// timerOf is what an entry remembers of its place: 0 is none.
func timerOf(wheel, slot int) int { return 1 + slot*2 + wheel }

// slotFor is the slot for a deadline: as far ahead as it can be looked at in time.
func (t *timers) slotFor(deadline int64) int {
	due := max(deadline>>tickShift, t.tick)
	for level := range wheelLevels {
		if at := due >> (slotShift * level); at-t.tick>>(slotShift*level) < wheelSlots {
			return level*wheelSlots + int(at%wheelSlots)
		}
	}
	return (wheelLevels-1)*wheelSlots + int((t.tick>>(slotShift*(wheelLevels-1))+wheelSlots-1)%wheelSlots)
}

// startOf is the first tick that a slot stands for, from now on.
func (t *timers) startOf(slot int) int64 {
	level := slot / wheelSlots
	now := t.tick >> (slotShift * level)
	return (now + (int64(slot%wheelSlots)-now)&(wheelSlots-1)) << (slotShift * level)
}

// next is the slot that has to be looked at next, among those that are due as a
// whole before tick last has passed.
func (t *timers) next(last int64) (w, slot int, start int64, ok bool) {
	for i := range t.wheels {
		for level := 0; t.wheels[i] != nil && level < wheelLevels; level++ {
			full := t.wheels[i].full[level]
			if full == 0 {
				continue
			}
			now := int(t.tick >> (slotShift * level) % wheelSlots)
			at := level*wheelSlots + (now+bits.TrailingZeros64(bits.RotateLeft64(full, -now)))%wheelSlots
			begin := t.startOf(at)
			if begin < last+int64(min(level, 1)) && (!ok || begin < start) {
				w, slot, start, ok = i, at, begin, true
			}
		}
	}
	return w, slot, start, ok
}

// push adds a record to a slot.
func (s *Store) push(w *wheel, slot int, hi uint32) {
	h := &s.index.single
	head := w.head(slot)
	if *head == 0 || cellLen(h.line(*head)) == cellRecords {
		fresh := h.take(s.cfg.Pool)
		h.line(fresh)[0] = uint64(*head)
		*head = fresh
		w.full[slot/wheelSlots] |= 1 << (slot % wheelSlots)
	}
	l := h.line(*head)
	i := cellLen(l)
	l[1+i/2] |= uint64(hi) << (i % 2 * 32)
	l[0] += 1 << 32
	w.records++
	s.stale = true
}

// cellLen is the number of records in a cell: word 0 is count 32 | next cell 32.
func cellLen(l *line) int { return int(l[0] >> 32) }

func cellRecord(l *line, i int) uint32 { return uint32(l[1+i/2] >> (i % 2 * 32)) }

// setTimer sees to it that an entry is looked at when its deadline has come.
func (s *Store) setTimer(at *uint64, hi uint32, deadline int64) {
	if deadline == 0 {
		return
	}
	t := &s.timers
	r := &s.runs[slotRun(*at)]
	pos := r.position(slotPos(*at))
	m := r.meta(pos)
	if old := m.timer(); old == 0 {
		t.filed++
	} else if t.startOf((old-1)/2) <= deadline>>tickShift {
		return
	}
	r.setMeta(pos, m.withTimer(s.file(hi, deadline)))
}

// file puts an upper half into the slot of a deadline.
func (s *Store) file(hi uint32, deadline int64) (timer int) {
	t := &s.timers
	if t.wheels[t.now] == nil {
		t.wheels[t.now] = newWheel()
	} else if t.moving || t.filed > 1 {
		s.renewWheel()
	}
	w := t.wheels[t.now]
	slot := t.slotFor(deadline)
	s.push(w, slot, hi)
	return timerOf(t.now, slot)
}

// Expired looks at up to limit records of the wheel that are due by now: entries
// whose deadline has passed are shown to yield and removed. It reports whether
// there may be more to look at.
func (s *Store) Expired(now int64, limit int, yield func(Entry)) bool {
	t, last := &s.timers, now>>tickShift
	defer s.tidy()
	s.stale = s.stale || t.wheels != [2]*wheel{}
	for {
		w, slot, start, ok := t.next(last)
		if !ok {
			break
		}
		t.tick = max(t.tick, start)
		if !s.drain(w, slot, now, &limit, yield) {
			return true
		}
	}
	t.tick = max(t.tick, last)
	for w := range t.wheels {
		// The slot of this very tick holds some that are due later in it.
		if t.tick == last && t.wheels[w] != nil && t.wheels[w].full[0]>>(last%wheelSlots)&1 != 0 && !s.drain(w, int(last%wheelSlots), now, &limit, yield) {
			return true
		}
	}
	return false
}

// drain looks at the records of a slot; false when the limit came first.
func (s *Store) drain(w, slot int, now int64, limit *int, yield func(Entry)) bool {
	wh := s.timers.wheels[w]
	cell := *wh.head(slot)
	wh.unlink(slot)
	for cell != 0 {
		l := s.index.single.line(cell)
		for n := cellLen(l); n > 0; n-- {
			if *limit <= 0 || !s.look(timerOf(w, slot), cellRecord(l, n-1), now, limit, yield) {
				s.relink(wh, slot, cell)
				return false
			}
			*limit--
			l[0] -= 1 << 32
			l[1+(n-1)/2] &^= 0xffffffff << ((n - 1) % 2 * 32)
			wh.records--
		}
		next := uint32(l[0])
		s.index.single.give(cell, s.cfg.Pool)
		cell = next
	}
	return true
}

// unlink takes the list of a slot out.
func (w *wheel) unlink(slot int) {
	*w.head(slot) = 0
	w.full[slot/wheelSlots] &^= 1 << (slot % wheelSlots)
}

// relink puts a list back behind what was filed into the slot meanwhile.
func (s *Store) relink(w *wheel, slot int, cell uint32) {
	w.full[slot/wheelSlots] |= 1 << (slot % wheelSlots)
	head := w.head(slot)
	if *head == 0 {
		*head = cell
		return
	}
	l := s.index.single.line(*head)
	for uint32(l[0]) != 0 {
		l = s.index.single.line(uint32(l[0]))
	}
	l[0] |= uint64(cell)
}

// look removes the entries under an upper half that are dead, and files anew those
// that are filed here and are not; false when the limit came first.
func (s *Store) look(timer int, hi uint32, now int64, limit *int, yield func(Entry)) bool {
	for first := true; ; first = false {
		at := s.dead(hi, now)
		if at == nil {
			break
		}
		if !first {
			if *limit <= 1 {
				return false
			}
			*limit--
		}
		hash := s.hashOf(*at)
		yield(s.entry(hash, *at))
		s.remove(at, hash)
	}
	s.index.under(hi, func(at *uint64) bool {
		if rec := s.view(*at); rec.meta().timer() == timer {
			s.refile(at, rec)
		}
		return true
	})
	return true
}

// dead is an entry under an upper half whose deadline has passed, nil when there is none.
func (s *Store) dead(hi uint32, now int64) (found *uint64) {
	s.index.under(hi, func(at *uint64) bool {
		if d := s.view(*at).deadline(); d != 0 && d <= now {
			found = at
		}
		return found == nil
	})
	return found
}

// refile files an entry as its deadline wants it now.
func (s *Store) refile(at *uint64, rec record) {
	r := &s.runs[slotRun(*at)]
	pos, m, timer := r.position(slotPos(*at)), rec.meta(), 0
	if d := rec.deadline(); d != 0 {
		slot := s.timers.slotFor(d)
		timer = timerOf(s.timers.now, slot)
		s.push(s.timers.wheels[s.timers.now], slot, uint32(s.hash(rec.key())>>32))
	} else {
		s.timers.filed--
	}
	r.setMeta(pos, m.withTimer(timer))
}

// renewWheel fills a second wheel when most records of the first are stale: one
// bucket of the index with each call, then lets go of the first one's cells.
func (s *Store) renewWheel() {
	t := &s.timers
	t.check = false
	if !t.moving {
		if w := t.wheels[t.now]; w.records <= 2*t.filed+staleMin {
			if t.filed == 0 {
				for t.wheels[t.now] != nil {
					s.dropCells(t.now)
				}
			}
			return
		}
		t.now = 1 - t.now
		t.wheels[t.now] = newWheel()
		t.moving, t.cursor = true, 0
	}
	if t.moved {
		s.dropCells(1 - t.now)
		return
	}
	g := s.index.group(t.cursor)
	b := g.bucket(t.cursor)
	s.index.each(g.line(b), 0, func(at *uint64) bool {
		rec := s.view(*at)
		if timer := rec.meta().timer(); timer != 0 && (timer-1)%2 != t.now {
			s.refile(at, rec)
		}
		return true
	})
	if b+1 < g.buckets {
		t.cursor = g.first(b + 1)
	} else {
		t.cursor = g.last() + 1
	}
	t.moved = t.cursor == 0
}

// dropCells lets go of some cells of a wheel that no entry is filed in, and of the
// wheel with the last one.
func (s *Store) dropCells(i int) {
	s.stale = true
	t := &s.timers
	w := t.wheels[i]
	for range cellsPerStep {
		slot := w.first()
		if slot < 0 {
			t.wheels[i], t.moving, t.moved = nil, false, false
			return
		}
		head := w.head(slot)
		l := s.index.single.line(*head)
		next := uint32(l[0])
		w.records -= cellLen(l)
		s.index.single.give(*head, s.cfg.Pool)
		if *head = next; next == 0 {
			w.unlink(slot)
		}
	}
}

// first is a slot with records, -1 when there is none.
func (w *wheel) first() int {
	for level, full := range w.full {
		if full != 0 {
			return level*wheelSlots + bits.TrailingZeros64(full)
		}
	}
	return -1
}
