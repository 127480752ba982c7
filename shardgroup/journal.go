package shardgroup

import (
	"errors"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
	"github.com/baxromumarov/aegisKV/statemachine/wal"
)

// Frames of the node's log, by kind. All are appended under the shard's mutex in the
// step that changes the copy, so that every prefix of the log is a state the copy was in.
//
//	record  as it stands in the ring, OPEN too
//	copy    raft id u64 | whole u8: what the shard held before is gone; id 0 = it holds nothing
//	mark    flags u8 | position u64 | floor u64 | time i64
//	chunk   lo u64 | hi u64 | entries
//	revert  as it came over the wire
const (
	logRecord = wal.KindFirst + iota
	logCopy
	logMark
	logChunk
	logRevert
)

// Flags of a mark.
const (
	markWhole  = 1 << iota // the copy is exact
	markRebase             // it stands at the position with an empty ring, whatever stood there
	markWipe               // and without contents
	markDigest             // and its contents come to the digest that follows: they were filled
	markCarry              // a rebase that begins nothing anew: what stands there is kept, or compared
)

// markEveryMs is how far shard time may pass beyond what the log knows of it.
const markEveryMs = 1000

// SetLog gives the node the log that its copies are written to. It is called once, after
// what the log held was restored and before anything else happens to a copy. data is the
// incarnation under which the copies count from here on: that of the process which wrote
// the log if wal.Recovery found it intact, this process's own if not. Then nothing of what
// was restored counts until it is admitted; but it is what it was at some earlier time, and
// may be fetched (T4). Only a copy without any record is worth nothing then (hole 19).
func (n *Node) SetLog(l *wal.Log, data multiraft.Incarnation) {
	intact := data != n.cfg.Process
	n.Ended(l.End())
	n.log, n.cfg.Self.Inc = l, data
	time := int64(0)
	for _, r := range n.all() {
		for _, s := range r.shards {
			s.mu.Lock()
			if s.whole {
				s.m.Settle() // by shard time, as its peers do: by the clock its digest would differ
			}
			l.Restore(uint16(s.id), uint64(s.m.Position()))
			time = max(time, s.m.Time())
			if !intact && !s.lost && s.m.Position() == 0 { // restored, not founded just now
				s.lost, s.whole = true, false
			}
			if s.lost { // another copy, the same one begun anew, or one that was made before there was a log
				s.lost = false
				s.writeCopy(r.id)
			}
			s.mu.Unlock()
		}
	}
	for _, r := range n.all() { // no holder may begin below what some shard of this node has seen
		r.mu.Lock()
		r.heard = max(r.heard, time)
		r.mu.Unlock()
	}
}

// Promised says which raft term a former process of this node had on its disk when it
// ended: a group whose copy comes out of a log listens to nobody below that. What was
// promised within the term need not be known, for one process leads all of it.
func (n *Node) Promised(g shardmap.GroupID, term uint64) {
	if r := n.Replica(g); r != nil {
		r.mu.Lock()
		r.promised.Term = max(r.promised.Term, term)
		r.mu.Unlock()
	}
}

// keeps says whether what happens to the copy goes into a log.
func (s *shard) keeps() bool { return s.n.log != nil && !s.unlogged }

// Ended says that the log was played to its end: an image to whose end it did not come is
// of no use.
func (n *Node) Ended(end wal.LSN) {
	for _, r := range n.all() {
		for _, s := range r.shards {
			s.mu.Lock()
			s.restored(end)
			s.mu.Unlock()
		}
	}
}

// writeRecord appends a record that was applied, and what time it is when that is long ago.
func (s *shard) writeRecord(raw []byte) {
	if !s.keeps() {
		return
	}
	s.append(logRecord, raw)
	s.writeTime()
}

// writeTime appends what time it is when that is long ago.
func (s *shard) writeTime() {
	if s.m.Time() >= s.marked+markEveryMs {
		s.appendMark(0)
	}
}

// mark appends how the copy stands when no record says it.
func (s *shard) mark(flags byte) {
	if s.keeps() {
		s.barrier = s.appendMark(flags)
	}
}

func (s *shard) appendMark(flags byte) wal.LSN {
	if s.whole {
		flags |= markWhole
	}
	if beginsAnew(flags) {
		s.needFrom()
	}
	s.marked = s.m.Time()
	w := writer{b: make([]byte, 0, 25)}
	w.u8(flags)
	w.u64(uint64(s.m.Position()))
	w.u64(uint64(s.floor))
	w.u64(uint64(s.marked))
	if flags&markDigest != 0 {
		w.u64(s.m.Digest())
	}
	return s.append(logMark, w.b)
}

// beginsAnew says whether a mark is the first frame of what a restart has to know of a copy.
func beginsAnew(flags byte) bool {
	return flags&(markRebase|markWipe) != 0 && flags&markCarry == 0
}

// needFrom says that the copy begins anew with the next frame.
func (s *shard) needFrom() { s.need, s.forgotten = s.n.log.End(), false }

// writeCopies says whose copies the shards of a group are from here on.
func (r *Replica) writeCopies(id uint64) {
	for _, s := range r.shards {
		s.mu.Lock()
		s.writeCopy(id)
		s.mu.Unlock()
	}
}

func (s *shard) writeCopy(id uint64) {
	if !s.keeps() {
		return
	}
	w := writer{}
	w.u64(id)
	w.flag(s.whole && id != 0)
	if s.n.log != nil {
		s.needFrom()
	}
	s.barrier = s.append(logCopy, w.b)
}

// writeRange appends a hash range that was replaced.
func (s *shard) writeRange(lo, hi uint64, entries []byte) {
	if !s.keeps() {
		return
	}
	w := writer{b: make([]byte, 0, 16+len(entries))}
	w.u64(lo)
	w.u64(hi)
	w.b = append(w.b, entries...)
	s.append(logChunk, w.b)
}

// writeRevert appends a revert as a whole: half of one is a state of no history.
func (s *shard) writeRevert(m *revert) {
	if !s.keeps() {
		return
	}
	w := writer{}
	w.revert(m)
	s.barrier = s.append(logRevert, w.b[messageHead:])
}

// errLog says that a frame of the log cannot be what this copy did.
var errLog = errors.New("shardgroup: a frame of the log does not fit the copy")

// Restore plays one frame of the log into the copy that it is of, in the order of the log
// and before the node runs. Frames of different shards may be played at the same time. A
// frame that does not fit is as good as a lost one.
func (n *Node) Restore(f *wal.Frame) error {
	r := n.ReplicaOf(shardmap.ShardID(f.Shard))
	if r == nil {
		return nil // of a group that has left
	}
	s := r.shard(shardmap.ShardID(f.Shard))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.meet(f) {
		return nil
	}
	s.unlogged = true
	defer func() { s.unlogged = false }()
	if err := s.restore(f); err != nil {
		s.lose()
		return err
	}
	return nil
}

// Lost says that frames of a shard are missing at this place of the log, or its part of
// the image: what is left of the copy is worth nothing, and what follows too, until it
// begins anew. While the image that was loaded may hold what is missing, the next frame
// says whether it does.
func (n *Node) Lost(id shardmap.ShardID) {
	if r := n.ReplicaOf(id); r != nil {
		s := r.shard(id)
		s.mu.Lock()
		if s.saved != nil {
			s.holed = true
		} else {
			s.lose()
		}
		s.mu.Unlock()
	}
}

// InLog says whether what was restored of a shard is a copy: nothing of it was lost, or it
// began anew behind that.
func (n *Node) InLog(id shardmap.ShardID) bool {
	r := n.ReplicaOf(id)
	if r == nil {
		return false
	}
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lost
}

func (s *shard) lose() {
	s.wipe(0)
	s.m.SetTime(0)
	s.whole, s.floor, s.lost = false, 0, true
	s.saved, s.holed, s.recalled = nil, false, 0
}

func (s *shard) restore(f *wal.Frame) error {
	b := f.Payload
	r := reader{b: b}
	switch f.Kind {
	case logCopy:
		s.need = f.LSN
		s.restoreCopy(r.u64(), r.flag())
	case logMark:
		if len(b) > 0 && beginsAnew(b[0]) {
			s.need = f.LSN
		}
		m := readMark(&r)
		if r.bad {
			return errLog
		}
		return s.restoreMark(&m)
	case logRecord:
		if !s.lost && (len(b) < recordHead || statemachine.RecordSize(b) != len(b) || !s.play(b, !s.whole)) {
			return errLog
		}
		return nil
	case logChunk:
		if lo, hi := r.u64(), r.u64(); !s.lost && (r.bad || s.m.ReplaceRange(lo, hi, r.b) != nil) {
			return errLog
		}
		return nil
	case logRevert:
		if m := r.revert(); !s.lost {
			return s.restoreRevert(&m, r.bad)
		}
		return nil
	default:
		return errLog
	}
	if r.bad {
		return errLog
	}
	return nil
}

// restoreRevert judges as onRevert did: the doubt that followed may not have come back.
func (s *shard) restoreRevert(m *revert, bad bool) error {
	if bad || !s.force(m) {
		return errLog
	}
	s.m.AdvanceTime(m.time)
	s.m.Settle()
	s.whole = s.whole && s.m.Position() == m.asOf && s.m.Digest() == m.digest
	return nil
}

// restoreCopy begins a copy: the one that this node has by raft, or a former one.
func (s *shard) restoreCopy(id uint64, whole bool) {
	s.lose()
	s.other = id != s.r.id
	s.lost = s.other
	s.whole = whole && !s.lost
}

// logMarked is a mark as it stands in the log.
type logMarked struct {
	flags      byte
	pos, floor shardmap.Version
	time       int64
	digest     uint64
}

func readMark(r *reader) logMarked {
	m := logMarked{flags: r.u8(), pos: r.version(), floor: r.version(), time: int64(r.u64())}
	if m.flags&markDigest != 0 {
		m.digest = r.u64()
	}
	return m
}

func (s *shard) restoreMark(m *logMarked) error {
	anew, rebase := beginsAnew(m.flags), m.flags&(markRebase|markWipe) != 0
	switch {
	case s.other, s.lost && !anew:
		return nil
	case !rebase && m.pos != s.m.Position():
		return errLog
	}
	s.lost = false
	// What stands here may be in an image, or in frames that are still there; a log that is
	// cut where the copy began anew does not have it, and nothing may be built on it.
	if anew || rebase && m.time < s.m.Time() {
		s.m.Reset()
	}
	if rebase {
		s.rebase(m.pos)
		s.m.SetTime(m.time)
	}
	s.m.AdvanceTime(m.time)
	s.floor, s.marked = m.floor, m.time
	if s.saved != nil { // the log has not come to where the image ended
		return nil
	}
	if s.whole = m.flags&markWhole != 0; s.whole {
		s.m.Settle()
	}
	if m.flags&markDigest != 0 && s.m.Digest() != m.digest {
		return errLog
	}
	return nil
}
