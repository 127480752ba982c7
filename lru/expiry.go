package lru

// expiryRecord says that a slot had this deadline; it is stale when the slot
// has another one by now.
type expiryRecord struct {
	deadline int64
	slot     int32
}

// expiryHeap orders deadlines. Changed and removed deadlines leave stale
// records behind, which are skipped, and swept when they are the majority.
type expiryHeap struct {
	records []expiryRecord
	stale   int
}

// Expired calls yield for entries whose deadline is at or before now, earliest
// first, at most max of them, and removes each one it has shown. It reports
// whether more may be due.
func (s *Store) Expired(now int64, max int, yield func(Entry)) bool {
	h := &s.expiry
	for len(h.records) > 0 && h.records[0].deadline <= now {
		r := h.records[0]
		e := &s.slots[r.slot]
		if e.queue == noQueue || e.deadline != r.deadline {
			h.pop()
			h.stale--
			continue
		}
		if max == 0 {
			return true
		}
		max--
		h.pop()
		yield(s.entry(r.slot))
		s.remove(r.slot)
		h.stale-- // its record is gone already
	}
	return false
}

// NextDeadline is the earliest deadline, possibly a stale one; 0 when there is none.
func (s *Store) NextDeadline() int64 {
	if len(s.expiry.records) == 0 {
		return 0
	}
	return s.expiry.records[0].deadline
}

func (s *Store) setDeadline(i int32, deadline int64) {
	e := &s.slots[i]
	if e.deadline == deadline {
		return
	}
	if e.deadline != 0 {
		s.expiry.stale++
	}
	e.deadline = deadline
	if deadline == 0 {
		return
	}
	if h := &s.expiry; h.stale > 64 && h.stale > len(h.records)/2 {
		s.rebuildExpiry()
		return
	}
	s.expiry.push(expiryRecord{deadline, i})
}

// rebuildExpiry drops the stale records.
func (s *Store) rebuildExpiry() {
	h := &s.expiry
	h.records, h.stale = h.records[:0], 0
	for i := range s.slots {
		if e := &s.slots[i]; e.queue != noQueue && e.deadline != 0 {
			h.push(expiryRecord{e.deadline, int32(i)})
		}
	}
}

func (r expiryRecord) before(o expiryRecord) bool {
	return r.deadline < o.deadline || (r.deadline == o.deadline && r.slot < o.slot)
}

func (h *expiryHeap) push(r expiryRecord) {
	h.records = append(h.records, r)
	i := len(h.records) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !h.records[i].before(h.records[p]) {
			break
		}
		h.records[i], h.records[p] = h.records[p], h.records[i]
		i = p
	}
}

func (h *expiryHeap) pop() {
	n := len(h.records) - 1
	h.records[0] = h.records[n]
	h.records = h.records[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return
		}
		if c+1 < n && h.records[c+1].before(h.records[c]) {
			c++
		}
		if !h.records[c].before(h.records[i]) {
			return
		}
		h.records[i], h.records[c] = h.records[c], h.records[i]
		i = c
	}
}
