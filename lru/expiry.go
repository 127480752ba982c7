package lru

// expiryRecord says that the entry of a slot is not dead before deadline. An
// entry has one record at most, and its slot knows the record's place.
type expiryRecord struct {
	deadline int64
	slot     int32
}

// expiryOverhead is what a record costs: 16 bytes, and what the growing slice
// holds ready.
const expiryOverhead = 20

// Expired looks at up to max records that are due by now, earliest first: the
// entry is shown to yield and removed, or filed anew when its deadline was moved
// to a later time since. It reports whether more are due.
func (s *Store) Expired(now int64, max int, yield func(Entry)) bool {
	for ; len(s.expiry) > 0 && s.expiry[0].deadline <= now; max-- {
		if max <= 0 {
			return true
		}
		i := s.expiry[0].slot
		if d := s.slots[i].deadline; d > now {
			s.expiry[0].deadline = d
			s.sink(0)
			continue
		}
		yield(s.entry(i))
		s.remove(i)
	}
	return false
}

// setDeadline files the entry of a slot under its deadline, 0 = none. A later
// deadline leaves the record where it is until it is due: keys whose TTL is
// renewed again and again are the common case, and cost nothing so.
func (s *Store) setDeadline(i int32, deadline int64) {
	e := &s.slots[i]
	e.deadline = deadline
	switch {
	case deadline == 0:
		s.unfile(i)
	case e.filed == none:
		s.held += expiryOverhead
		s.expiry = append(s.expiry, expiryRecord{deadline, i})
		e.filed = int32(len(s.expiry) - 1)
		s.rise(e.filed)
	case deadline < s.expiry[e.filed].deadline:
		s.expiry[e.filed].deadline = deadline
		s.rise(e.filed)
	}
}

// unfile takes the record of a slot out, if it has one.
func (s *Store) unfile(i int32) {
	at := s.slots[i].filed
	if at == none {
		return
	}
	s.held -= expiryOverhead
	s.slots[i].filed = none
	last := int32(len(s.expiry) - 1)
	moved := s.expiry[last]
	s.expiry = s.expiry[:last]
	if at == last {
		return
	}
	s.expiry[at] = moved
	s.slots[moved.slot].filed = at
	s.rise(at)
	s.sink(s.slots[moved.slot].filed)
}

func (r expiryRecord) before(o expiryRecord) bool {
	return r.deadline < o.deadline || (r.deadline == o.deadline && r.slot < o.slot)
}

// rise moves a record of the heap toward the root.
func (s *Store) rise(at int32) {
	h, r := s.expiry, s.expiry[at]
	for at > 0 && r.before(h[(at-1)/2]) {
		s.place(at, h[(at-1)/2])
		at = (at - 1) / 2
	}
	s.place(at, r)
}

// sink moves a record of the heap toward the leaves.
func (s *Store) sink(at int32) {
	h, r := s.expiry, s.expiry[at]
	for {
		c := 2*at + 1
		if int(c) >= len(h) {
			break
		}
		if int(c)+1 < len(h) && h[c+1].before(h[c]) {
			c++
		}
		if !h[c].before(r) {
			break
		}
		s.place(at, h[c])
		at = c
	}
	s.place(at, r)
}

func (s *Store) place(at int32, r expiryRecord) {
	s.expiry[at] = r
	s.slots[r.slot].filed = at
}
