package shardgroup

import (
	"encoding/binary"
	"math/bits"

	"github.com/baxromumarov/aegisKV/statemachine"
)

// A fill that compares is the rung DIGEST of the ladder: instead of every hash range, the
// holder sends what its buckets come to, then which entries the buckets that differ have,
// then the entries that are wanted. Each message stands in the stream where a chunk would:
// what it found equal is as if a chunk had brought it, because a version names a value.
// What differs in the end after all (a digest of 32 bits may agree by chance) is found by
// the digest of FillEnd, and filled without comparing.

// comparing is how far the holder is with it.
type comparing struct {
	step    uint32 // of the last message that is to be answered
	waits   bool   // for that answer
	told    bool   // which buckets differ is known
	buckets [statemachine.DigestBuckets / 64]uint64
	hashes  []uint64 // wanted
}

// compares says whether a fill should compare: there is something to compare with, enough
// that it saves something, and it did not end in a copy that differs just now.
func (s *shard) compares(f *follower) bool {
	return f.acked != 0 && !f.plain && s.m.HeldBytes() >= int64(s.n.cfg.CompareBytes)
}

// waits says whether a fill stands until the follower has answered.
func (f *follower) waits() bool { return f.compare != nil && f.compare.waits }

// composeCompare sends what comes next. What is left in the end is the end of the fill.
func (s *shard) composeCompare(f *follower, w *writer) {
	c := f.compare
	switch {
	case c.waits:
	case len(c.hashes) > 0:
		s.composeStates(f, w)
	case !c.told:
		s.composeDigests(f, w)
	case !s.composeVersions(f, w):
		probeCompared.Hit()
		f.chunked, f.compare = true, nil
		s.composeFill(f, w)
	}
}

func (s *shard) transferFor(f *follower) transferHead {
	f.compare.step++
	return transferHead{dataHead: s.headFor(f), xfer: f.xfer, step: f.compare.step}
}

func (s *shard) composeDigests(f *follower, w *writer) {
	if s.sweep() {
		return // dead keys must not be in it: again with the next frame
	}
	m := digests{transferHead: s.transferFor(f), time: s.m.Time(), buckets: make([]byte, 0, digestsSize)}
	for i := range statemachine.DigestBuckets {
		m.buckets = binary.BigEndian.AppendUint32(m.buckets, uint32(s.m.DigestOf(i)))
	}
	w.digests(&m)
	f.compare.waits = true
}

// composeVersions sends the versions of the next buckets that differ; false when all were.
func (s *shard) composeVersions(f *follower, w *writer) bool {
	c, size := f.compare, 0
	var m versions
	for i := c.next(); i >= 0 && size < s.n.cfg.FillBytes; i = c.next() {
		b := bucketVersions{bucket: i, versions: s.m.AppendVersions(i, nil)}
		if size+len(b.versions) > keysMax*statemachine.VersionSize && size > 0 {
			break
		}
		c.buckets[i/64] &^= 1 << (i % 64)
		size += len(b.versions) + 6
		m.buckets = append(m.buckets, b)
	}
	if len(m.buckets) == 0 {
		return false
	}
	m.transferHead = s.transferFor(f)
	w.bucketVersions(&m)
	c.waits = true
	return true
}

// next is the first bucket that differs and was not compared by versions, -1 = none.
func (c *comparing) next() int {
	for i, word := range c.buckets {
		if word != 0 {
			return i*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// composeStates sends the next states that were asked for, at least one.
func (s *shard) composeStates(f *follower, w *writer) {
	c, size := f.compare, 0
	m := states{transferHead: transferHead{dataHead: s.headFor(f), xfer: f.xfer, step: c.step}}
	for len(c.hashes) > 0 && size < s.n.cfg.FillBytes {
		h := c.hashes[0]
		c.hashes = c.hashes[1:]
		st := hashState{hash: h, entries: s.m.AppendRange(h, h, nil)}
		size += len(st.entries) + 12
		m.states = append(m.states, st)
	}
	w.states(&m)
}

// compared takes an answer of the follower.
func (n *Node) compared(l *lane, d *differs) {
	s, f := n.session(l, d.shard, d.sess)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	c := f.compare
	if f.mode != modeFill || c == nil || !c.waits || d.fill != uint32(f.xfer) || d.step != c.step || c.told == (d.buckets != nil) {
		return
	}
	c.waits, c.hashes = false, d.hashes
	if !c.told {
		c.told = true
		count := 0
		for i := range c.buckets {
			c.buckets[i] = binary.LittleEndian.Uint64(d.buckets[8*i:])
			count += bits.OnesCount64(c.buckets[i])
		}
		if count > statemachine.DigestBuckets/2 {
			probeNotCompared.Hit()
			f.compare = nil // naming what is equal would cost more than it saves
		}
	}
	l.markData(s.id)
}

// transferring is the shard that a message of a comparing fill is for, locked, if it is of
// the fill under way and was not answered before; nil when it is not.
func (n *Node) transferring(l *lane, conn uint64, h *transferHead) *shard {
	s := n.listening(l, conn, h.dataHead)
	if s == nil {
		return nil
	}
	if s.xfer != h.xfer || s.whole {
		s.mu.Unlock()
		return nil
	}
	return s
}

// onDigests answers which buckets differ here.
func (n *Node) onDigests(l *lane, conn uint64, m *digests) {
	s := n.transferring(l, conn, &m.transferHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	s.m.AdvanceTime(m.time)
	s.m.Settle()
	d := s.answerTo(&m.transferHead)
	d.buckets = make([]byte, differsSize)
	for i := range statemachine.DigestBuckets {
		if uint32(s.m.DigestOf(i)) != binary.BigEndian.Uint32(m.buckets[4*i:]) {
			d.buckets[i/8] |= 1 << (i % 8)
		}
	}
	l.markAck(s.id, true) // an answer is no ack: it does not wait for the log
}

// onVersions takes out what the holder has not, and asks for what differs.
func (n *Node) onVersions(l *lane, conn uint64, m *versions) {
	s := n.transferring(l, conn, &m.transferHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	// Not by the holder's time: records that take deadlines away may stand behind this.
	d := s.answerTo(&m.transferHead)
	for _, b := range m.buckets {
		extra := s.m.CompareVersions(b.bucket, b.versions, &d.hashes)
		for _, h := range extra {
			s.replaceRange(h, h, nil)
		}
	}
	if len(d.hashes) > keysMax { // more than an answer holds, in one bucket: without comparing
		s.differs = nil
		s.doubt("too many entries differ")
	}
	l.markAck(s.id, true) // an answer is no ack: it does not wait for the log
}

// onStates takes what was asked for.
func (n *Node) onStates(l *lane, conn uint64, m *states) {
	s := n.transferring(l, conn, &m.transferHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	for _, st := range m.states {
		if !s.replaceRange(st.hash, st.hash, st.entries) {
			s.ack(l, true)
			return
		}
	}
}

// answerTo begins the answer to a message. It is kept until the next one is due, and said
// again when the connection that carried it may have lost it.
func (s *shard) answerTo(h *transferHead) *differs {
	s.differs, s.differsSaid = &differs{sess: h.sess, shard: s.id, fill: uint32(h.xfer), step: h.step}, false
	return s.differs
}
