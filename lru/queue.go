package lru

// The two queues of entries: new ones start in probation.
const (
	probation = iota
	protected
	queues
)

// queue is a FIFO of records in one or two runs. The second one is there while the
// queue is packed: its records move from the older run, in which the dead lie
// between them, to a new one, in their order, a few with each call. What is added
// meanwhile goes to the end, as ever.
//
//	tail  [ packed run: front ]  [ run under way: back ]  head
type queue struct {
	front   int   // 0 or 1: which of the queue's runs has the oldest entries
	packing bool  // records move from the back to the front
	bytes   int64 // of entries
}

// newest is the run that queue q is appended to.
func (u *queue) newest(q int) int {
	if u.packing {
		return 2*q + 1 - u.front
	}
	return 2*q + u.front
}

// oldest is the run that queue q gives from.
func (s *Store) oldest(q int) int {
	u := &s.queues[q]
	id := 2*q + u.front
	if r := &s.runs[id]; u.packing && r.head == r.tail {
		return 2*q + 1 - u.front
	}
	return id
}

const (
	deadShare   = 10 // a queue is packed when more than 1 of this many bytes are dead
	packFactor  = 10 // bytes looked at for each byte that a call wrote or made dead
	packStep    = 512
	packMax     = 64 << 10 // bytes that one call looks at
	packEntries = 128
)

// tidy packs a little, in proportion to what the call did, at the end of calls
// that change something.
func (s *Store) tidy() {
	work := s.work
	s.work, s.last.at, s.seen.at = 0, nil, nil
	if s.timers.check {
		s.renewWheel()
	}
	for q := range s.queues {
		if u := &s.queues[q]; u.packing {
			if s.Over() > 0 {
				work = packMax
			}
			s.pack(q, min(packFactor*work+packStep, packMax))
			s.work = 0
			return
		}
	}
	for q := range s.queues {
		if s.untidy(q) {
			s.beginPack(q, work)
			return
		}
	}
	s.ramp = 0
}

// untidy says whether a queue should be packed: too much of it is dead, or its
// segments are not of the size that the budget wants.
func (s *Store) untidy(q int) bool {
	r := &s.runs[s.oldest(q)]
	if r.head == r.tail {
		return false
	}
	return r.dead*deadShare > r.length() && r.dead > 4<<r.shift || r.shift != s.shift
}

// beginPack starts to pack a queue as soon as the two segments that its second run
// may leave open are free. They are made free in steps, by what Over says.
func (s *Store) beginPack(q, work int) {
	if need := int64(2) << s.shift; s.ramp < need {
		s.ramp = min(need, s.ramp+int64(4*work+packStep))
		return
	}
	u := &s.queues[q]
	u.front = 1 - u.front
	u.packing = true
	s.ramp = 0
}

// pack moves records from the back to the front, at most so many bytes of the back.
func (s *Store) pack(q, bytes int) {
	u := &s.queues[q]
	id := 2*q + 1 - u.front
	r := &s.runs[id]
	for n := 0; r.head != r.tail && n < packEntries && bytes > 0; n++ {
		from := r.length()
		at, hash, rec := s.tail(id)
		s.transfer(at, hash, 2*q+u.front, *at&hitsMask, rec.meta())
		bytes -= int(from - r.length())
	}
	if r.head == r.tail {
		u.packing = false
	}
}
