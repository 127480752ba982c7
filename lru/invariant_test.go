package lru

import "fmt"

// check looks at everything that must be true of a store between calls.
func (s *Store) check() error {
	c := checker{s: s, at: map[[2]uint64]uint64{}}
	for _, f := range []func() error{c.index, c.runs, c.wheels, c.sums} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

type checker struct {
	s       *Store
	at      map[[2]uint64]uint64 // run, position -> slot
	entries int
	filed   int
	live    int64
	bytes   [queues]int64
	extents int
	singles int
}

// index walks every bucket: each entry is where its hash says, is found by its key,
// and the counts of lines and groups agree.
func (c *checker) index() error {
	x := &c.s.index
	groups, pages := 0, int64(0)
	for i, g := range x.dir {
		if i > 0 && x.dir[i-1] == g {
			continue
		}
		groups++
		if first, n := int(uint64(g.prefix)>>(32-x.depth)), 1<<(x.depth-g.depth); first != i || x.dir[first+n-1] != g {
			return fmt.Errorf("group %d begins at %d of the directory", i, first)
		}
		entries, over := c.entries, uint32(0)
		for b := range g.buckets {
			l := g.line(b)
			if l.next() != 0 {
				over++
			}
			if _, err := c.line(g, b, l, 0); err != nil {
				return err
			}
		}
		if uint32(c.entries-entries) != g.entries || over != g.over {
			return fmt.Errorf("group %d counts %d entries and %d overflows, has %d and %d", i, g.entries, g.over, c.entries-entries, over)
		}
		pages += int64(g.buckets) * lineBytes
	}
	if groups != x.groups || pages != x.pages {
		return fmt.Errorf("%d groups of %d bytes, counted %d of %d", groups, pages, x.groups, x.pages)
	}
	return nil
}

// line checks a line and what is beyond it, and counts its entries.
func (c *checker) line(g *group, bucket uint32, l *line, level int) (n uint64, err error) {
	x := &c.s.index
	for i := 1; i <= slotsPerLine; i++ {
		if !l.used(i) {
			continue
		}
		n++
		if err := c.entry(g, bucket, &l[i]); err != nil {
			return n, err
		}
	}
	if l.next() == 0 {
		if l.beyond() != 0 {
			return n, fmt.Errorf("%d entries beyond the last line", l.beyond())
		}
		return n, nil
	}
	beyond := uint64(0)
	if level == 0 {
		c.singles++
		beyond, err = c.line(g, bucket, x.single.line(l.next()), 1)
	} else {
		for i := range uint64(familyLines) {
			k, e := c.line(g, bucket, x.step(l, level, i<<(3*(level-1)%63)), level+1)
			if beyond += k; e != nil {
				err = e
			}
		}
	}
	if err == nil && beyond != l.beyond() {
		err = fmt.Errorf("%d entries beyond a line that counts %d", beyond, l.beyond())
	}
	return n + beyond, err
}

func (s *Store) findsAt(hash uint64, key []byte, at *uint64) bool {
	found, _ := s.find(hash, key)
	return found == at
}

func (c *checker) entry(g *group, bucket uint32, at *uint64) error {
	s := c.s
	rec := s.read(*at, new([]byte))
	m := rec.meta()
	hash := s.hash(rec.key())
	hi := uint32(hash >> 32)
	id := slotRun(*at)
	pos := s.runs[id].position(slotPos(*at))
	switch {
	case s.index.group(hi) != g || g.bucket(hi) != bucket || s.index.upper(g, g.first(bucket), *at) != hi:
		return fmt.Errorf("%q is in the wrong bucket", rec.key())
	case !s.findsAt(hash, rec.key(), at) || s.locate(hash, rec.key(), id, pos) != at:
		return fmt.Errorf("%q is not found", rec.key())
	case m.dead():
		return fmt.Errorf("%q is dead and filed", rec.key())
	}
	c.at[[2]uint64{uint64(id), pos}] = *at
	c.entries++
	c.live += int64(m.keyLen() + m.valueLen())
	c.bytes[id/2] += m.weight()
	if m.extended() {
		c.extents++
		if len(s.extents.at(rec.extent())) != m.valueLen() {
			return fmt.Errorf("%q has an extent of another length", rec.key())
		}
	}
	if m.timer() != 0 {
		c.filed++
	}
	if d := rec.deadline(); d != 0 && (m.timer() == 0 || s.timers.startOf((m.timer()-1)/2) > max(d>>tickShift, s.timers.tick)) {
		return fmt.Errorf("%q is due at %d and filed in slot %d at tick %d", rec.key(), d, (m.timer()-1)/2, s.timers.tick)
	}
	return nil
}

// runs walks every run: a record is either an entry's or marked dead, and a run
// neither begins with the dead nor keeps a segment that it does not need.
func (c *checker) runs() error {
	for id := range c.s.runs {
		r := &c.s.runs[id]
		dead := int64(0)
		for pos := r.tail; pos != r.head; {
			m := r.meta(pos)
			_, used := c.at[[2]uint64{uint64(id), pos}]
			if used == m.dead() {
				return fmt.Errorf("run %d at %d: dead %v, used %v", id, pos, m.dead(), used)
			}
			if m.dead() {
				dead += int64(m.size())
				if pos == r.tail {
					return fmt.Errorf("run %d begins with the dead", id)
				}
			}
			pos += uint64(m.size())
		}
		if dead != r.dead {
			return fmt.Errorf("run %d counts %d dead bytes, has %d", id, r.dead, dead)
		}
		if r.head == r.tail && r.heldBytes() != 0 || r.heldBytes() >= r.length()+2<<r.shift {
			return fmt.Errorf("run %d holds %d bytes for %d", id, r.heldBytes(), r.length())
		}
		if u := &c.s.queues[id/2]; r.head != r.tail && !u.packing && id%2 != u.front {
			return fmt.Errorf("run %d is in use and its queue is not packed", id)
		}
	}
	return nil
}

// wheels checks that every timer has its record, and that cells add up.
func (c *checker) wheels() error {
	t := &c.s.timers
	type place struct {
		timer int
		hi    uint32
	}
	filed := map[place]bool{}
	for i, w := range t.wheels {
		if w == nil {
			continue
		}
		records := 0
		for slot := range wheelLevels * wheelSlots {
			if w.levels[slot/wheelSlots] == nil {
				continue
			}
			cell := *w.head(slot)
			if (cell != 0) != (w.full[slot/wheelSlots]>>(slot%wheelSlots)&1 != 0) {
				return fmt.Errorf("wheel %d: slot %d is marked wrongly", i, slot)
			}
			for ; cell != 0; cell = uint32(c.s.index.single.line(cell)[0]) {
				l := c.s.index.single.line(cell)
				c.singles++
				records += cellLen(l)
				for j := range cellLen(l) {
					filed[place{timerOf(i, slot), cellRecord(l, j)}] = true
				}
			}
		}
		if records != w.records {
			return fmt.Errorf("wheel %d counts %d records, has %d", i, w.records, records)
		}
	}
	for _, slot := range c.at {
		rec := c.s.read(slot, new([]byte))
		p := place{rec.meta().timer(), uint32(c.s.hash(rec.key()) >> 32)}
		if p.timer != 0 && !filed[p] {
			return fmt.Errorf("%q has timer %d and no record there", rec.key(), p.timer)
		}
	}
	return nil
}

// sums compares the counters with what was found.
func (c *checker) sums() error {
	s := c.s
	used := 0
	for _, p := range s.index.single.pieces {
		for u := p.used; u != 0; u &= u - 1 {
			used++
		}
	}
	extents := 0
	for _, b := range s.extents.values {
		if b != nil {
			extents++
		}
	}
	switch {
	case c.entries != s.count, c.live != s.live, c.filed != s.timers.filed:
		return fmt.Errorf("count %d/%d live %d/%d filed %d/%d", s.count, c.entries, s.live, c.live, s.timers.filed, c.filed)
	case c.bytes != [queues]int64{s.queues[0].bytes, s.queues[1].bytes}:
		return fmt.Errorf("queues count %d and %d bytes, have %d", s.queues[0].bytes, s.queues[1].bytes, c.bytes)
	case c.singles != used:
		return fmt.Errorf("%d lines are lent, %d are found", used, c.singles)
	case c.extents != extents:
		return fmt.Errorf("%d extents are lent, %d are found", extents, c.extents)
	case !s.countsRight():
		return fmt.Errorf("what Over counts was not counted anew")
	case s.Over() == 0 && s.Held() > s.Budget():
		return fmt.Errorf("%d held of %d, and not over", s.Held(), s.Budget())
	}
	if p := s.cfg.Pool; p != nil {
		if lent := s.lent(); p.LentBytes() != lent {
			return fmt.Errorf("the pool lends %d bytes, the store counts %d", p.LentBytes(), lent)
		}
	}
	return nil
}

func (s *Store) countsRight() bool {
	over := s.Over()
	s.stale = true
	return s.Over() == over
}

// check looks at what a pool counts of its chunks.
func (p *Pool) check() error {
	for _, c := range p.chunks {
		if c.shelf == nil {
			continue
		}
		if idle := c.idleAmong(0, c.units()); idle != c.idle {
			return fmt.Errorf("a chunk of units of %d counts %d idle bytes, has %d", c.shelf.unit, c.idle, idle)
		}
		if at := c.seats[seatRoom]; at.bin != c.room() || at.bin > 0 && c.shelf.open.bins[at.bin][at.at] != c {
			return fmt.Errorf("a chunk of units of %d with room %d has seat %+v", c.shelf.unit, c.room(), at)
		}
	}
	return nil
}

// lent is the part of Held that is the pool's.
func (s *Store) lent() (n int64) {
	for i := range s.runs {
		n += s.runs[i].heldBytes()
	}
	for _, h := range []*heap{&s.index.single, &s.index.families} {
		n += int64(len(h.pieces)-len(h.vacant)) * int64(h.piece)
	}
	return n + s.index.pages + s.extents.held + int64(len(s.ghost.pages)*s.ghost.piece) +
		int64(len(s.sketch.pages)*s.sketch.piece)
}
