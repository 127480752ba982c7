package shardgroup

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// fillsPerPeer bounds the bulk transfers to one peer: each pins nothing, but the
// ring must reach back to where the oldest began.
const fillsPerPeer = 4

// startFill decides that a follower is to be filled; beginFill begins it.
func (s *shard) startFill(f *follower) {
	f.endFill()
	f.mode, f.whole, f.asked, f.compare, f.durable = modeBegin, false, nil, nil, 0
	f.lane.markData(s.id)
}

// endFill gives the place among the transfers of its lane back.
func (f *follower) endFill() {
	if f.filling {
		f.filling = false
		f.lane.fills.Add(-1)
	}
}

// beginFill announces a bulk transfer, if it may begin now: at most one seat of a
// group is filled while it still holds an old copy (L9), and only a few at a time
// to one peer, and none of a shard that still has to give for its budget. Tick asks again.
func (s *shard) beginFill(f *follower, w *writer) bool {
	if s.shrinking || f.lane.fills.Load() >= fillsPerPeer || !s.r.mayFill(f) {
		return false
	}
	f.filling, f.matched, f.compare = true, false, nil
	if f.compared = s.compares(f); f.compared {
		f.compare = &comparing{}
	}
	f.lane.fills.Add(1)
	f.xfer = s.n.nextXfer.Add(1)
	f.off, f.lo, f.chunked, f.mode = s.ring.end, 0, false, modeFill
	w.fillBegin(&fillBegin{dataHead: s.headFor(f), xfer: f.xfer, start: s.m.Position(), floor: s.floor, cut: f.cut, time: s.m.Time(), compares: f.compared})
	return true
}

// mayFill keeps L9: an old copy of a seat is worth something until it is
// overwritten, so the group's other old copies wait.
func (r *Replica) mayFill(f *follower) bool {
	if !f.old {
		return true
	}
	node := uint32(f.lane.peer)
	return r.oldFill.CompareAndSwap(0, node) || r.oldFill.Load() == node
}

// turnPatience is how long a copy that was sent all of a fill may take to say that it is whole.
const turnPatience = time.Second

// late says that a copy was sent all of a fill long ago and does not call itself whole: its
// log's disk stands. By its log it is nothing until it does, so that what L9 keeps other
// copies for is no better with their waiting. Its place among the fills of its lane it
// keeps: what else it would be sent would only wait for the same disk.
func (f *follower) late(now time.Duration) bool {
	return f.mode == modeTail && f.filling && now >= f.ended+turnPatience
}

// composeFill sends the next hash range, or the end when all ranges and all
// records have been sent. The cursor is at the head, or behind it: every record
// above what the chunk shows goes out after the chunk.
func (s *shard) composeFill(f *follower, w *writer) {
	if f.chunked {
		if f.off == s.ring.end && !s.sweep() {
			w.fillEnd(&fillEnd{
				dataHead: s.headFor(f), xfer: f.xfer,
				end: s.m.Position(), time: s.m.Time(), digest: s.m.Digest(),
			})
			f.mode = modeTail
		}
		return
	}
	if f.compare != nil {
		s.composeCompare(f, w)
		return
	}
	at := w.open(msgChunk)
	w.head(s.headFor(f))
	w.u64(f.xfer)
	w.u64(f.lo)
	hiAt := len(w.b)
	w.u64(0)
	var hi uint64
	w.b, hi = s.m.Chunk(f.lo, s.n.cfg.FillBytes, w.b)
	hole := writer{b: w.b[:hiAt]}
	hole.u64(hi)
	w.shut(at)
	f.chunked = hi == ^uint64(0)
	f.lo = hi + 1
}

// onFillBegin gives the copy's claim up before the first chunk is touched (F5).
func (n *Node) onFillBegin(l *lane, conn uint64, m *fillBegin) {
	s := n.listening(l, conn, m.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	// The holder says what the lineage cuts: raft may not have brought the row here yet.
	if pos := s.m.Position(); s.whole && m.cut < pos && pos.Epoch() < m.start.Epoch() {
		s.rollback(m.cut)
	}
	s.xfer, s.fill, s.gap, s.matched, s.broken, s.fresh = m.xfer, uint32(m.xfer), false, false, false, 0
	if mutant.Is("mark-after-first-chunk") {
		return
	}
	s.whole, s.floor = false, m.floor
	flags := byte(markRebase)
	switch {
	case m.time < s.m.Time(), m.compares && s.keeps() && (s.forgotten || s.partial): // the store's wheel does not turn back; the log must know what is kept
		s.m.Reset()
		s.partial = false
		flags |= markWipe
	case m.compares:
		flags |= markCarry
	default:
		s.partial = true
	}
	s.rebase(m.start)
	s.m.SetTime(m.time) // also a lower one: or this copy would sweep what is alive in the lineage
	if !mutant.Is("overwrite-before-mark") {
		s.mark(flags)
	}
	n.out.Event(Event{Kind: EventOverwritten, Group: s.r.g, Shard: s.id, Detail: "filling"})
	s.ack(l, false)
}

// onChunk replaces a hash range, if it is of the transfer under way.
func (n *Node) onChunk(l *lane, conn uint64, m *chunk) {
	s := n.listening(l, conn, m.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	if (s.xfer != m.xfer || s.whole) && !mutant.Is("stale-chunk-accepted") && !mutant.Is("mark-after-first-chunk") {
		return
	}
	if !s.replaceRange(m.lo, m.hi, m.entries) {
		s.ack(l, true)
	}
}

// hardLimitMin is what a copy that is being filled may hold beside its budget at least,
// in bytes: a large value or two, and what the holder is still to evict.
const hardLimitMin = 1 << 20

// passesLimit gives a copy up that is filled to more than twice its budget (F3). The holder
// waits with a fill until it keeps the budget itself, so it does not know this node's: it
// is asked again until it does. A whole copy is never given up for its size: what it holds
// above its budget is of the time before that fell, and goes with the holder's evictions.
func (s *shard) passesLimit() bool {
	held, budget := s.m.HeldBytes(), s.m.BudgetBytes()
	if held <= max(2*budget, budget+hardLimitMin) {
		return false
	}
	s.broken, s.xfer = true, 0
	s.wipe(s.m.Position())
	s.mark(markWipe)
	s.n.out.Event(Event{Kind: EventNotWhole, Group: s.r.g, Shard: s.id, Detail: fmt.Sprintf("filled to %d bytes with a budget of %d", held, budget)})
	return true
}

// replaceRange puts what the holder has in the place of a hash range, in the log too;
// false when that cannot be, or when the copy passes its limit by it.
func (s *shard) replaceRange(lo, hi uint64, entries []byte) bool {
	var err error
	if s.n.work(func() { err = s.m.ReplaceRange(lo, hi, entries) }); err != nil {
		s.doubt("chunk does not fit")
		return false
	}
	s.writeRange(lo, hi, entries)
	return !s.passesLimit()
}

// onFillEnd makes the copy whole if it is where the holder's is and agrees with it (F5, F7).
func (n *Node) onFillEnd(l *lane, conn uint64, m *fillEnd) {
	s := n.listening(l, conn, m.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	if s.xfer != m.xfer {
		return
	}
	s.xfer = 0
	s.m.AdvanceTime(m.time)
	s.m.Settle()
	if s.m.Position() != m.end || s.m.Digest() != m.digest {
		s.doubt("filled copy differs")
	} else {
		probeFilled.Hit()
		s.whole, s.matched, s.partial = true, true, false
		s.mark(markDigest)
	}
	s.ack(l, true)
}
