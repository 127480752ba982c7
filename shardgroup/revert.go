package shardgroup

import (
	"bytes"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// each walks the records of the ring from a logical offset on, until visit says false.
func (r *ring) each(off uint64, visit func(raw []byte) bool) {
	for off < r.end {
		run := r.from(off)
		n := statemachine.RecordSize(run)
		if !visit(run[:n]) {
			return
		}
		off += uint64(n)
	}
}

// changedAbove lists the hashes of all keys that the records above cut touched;
// false when the ring does not tell (too short, a flush, too many).
func (s *shard) changedAbove(cut shardmap.Version) ([]uint64, bool) {
	off, have := s.ring.find(cut, s.m.Position())
	if !have || !s.whole || cut < s.floor {
		return nil, false
	}
	var hashes []uint64
	seen := map[uint64]bool{}
	add := func(h uint64) {
		if !seen[h] {
			seen[h] = true
			hashes = append(hashes, h)
		}
	}
	ok := true
	s.ring.each(off, func(raw []byte) bool {
		if raw[recordOp] == opOpen {
			return true
		}
		if _, err := statemachine.DecodeRecord(raw, &s.rec); err != nil || s.rec.Op == statemachine.OpFlush {
			ok = false
			return false
		}
		if s.rec.Op != statemachine.OpEvict {
			err := statemachine.Parts(&s.rec, &s.part, func(p *statemachine.Record) { add(s.m.Hash(p.Key)) })
			if ok = err == nil; !ok {
				return false
			}
		}
		for _, e := range s.rec.Evicted {
			add(e.Hash)
		}
		ok = len(hashes) <= keysMax
		return ok
	})
	return hashes, ok
}

// lostMax bounds a rollback list.
const lostMax = 64 << 10

// rollback tells the exact list of the writes above cut, as far as the ring has them.
func (s *shard) rollback(cut shardmap.Version) {
	rb := Rollback{Group: s.r.g, Shard: s.id, Cut: cut, Head: s.m.Position()}
	off, have := s.ring.find(cut, s.m.Position())
	if !have {
		off = s.ring.start()
	}
	rb.Complete = have
	s.ring.each(off, func(raw []byte) bool {
		if raw[recordOp] == opOpen || versionOf(raw) <= cut {
			return true
		}
		if _, err := statemachine.DecodeRecord(raw, &s.rec); err != nil || len(rb.Lost) >= lostMax {
			rb.Complete = false
			return false
		}
		return statemachine.Parts(&s.rec, &s.part, func(p *statemachine.Record) {
			rb.Lost = append(rb.Lost, LostWrite{p.Version, p.Op, bytes.Clone(p.Key)})
		}) == nil
	})
	s.n.out.RolledBack(rb)
}

// onAsk remembers that the holder wants to know what changed above cut.
func (n *Node) onAsk(l *lane, conn uint64, m *ask) {
	s := n.listening(l, conn, m.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	s.askedCut, s.asked = m.cut, true
	l.markAck(s.id, true)
}

// revertMax bounds what a revert stages; beyond it the copy is filled.
const revertMax = 8 << 20

// composeRevert sends the present state of every hash that the follower changed
// above its cut, and the lineage's records from there.
func (s *shard) composeRevert(f *follower, w *writer) {
	if s.sweep() {
		return // the digest is of what is settled: again with the next frame
	}
	off, have := s.ring.find(f.cut, s.m.Position())
	if !have {
		s.startFill(f)
		return
	}
	m := revert{dataHead: s.headFor(f), cut: f.cut, asOf: s.m.Position(), time: s.m.Time(), digest: s.m.Digest()}
	size := int(s.ring.end - off)
	var flat []byte
	for _, h := range f.asked {
		at := len(flat)
		flat = s.m.AppendRange(h, h, flat)
		m.states = append(m.states, hashState{hash: h, entries: flat[at:]})
		if size+len(flat) > revertMax {
			s.startFill(f)
			return
		}
	}
	m.records = make([]byte, 0, size)
	s.ring.each(off, func(raw []byte) bool { m.records = append(m.records, raw...); return true })
	w.revert(&m)
	f.off, f.mode, f.asked = s.ring.end, modeTail, nil
}

// onRevert brings a divergent copy back to the lineage in one step (F6). The copy
// stays whole: before it, the divergent branch exactly; after it, the lineage.
func (n *Node) onRevert(l *lane, conn uint64, m *revert) {
	s := n.listening(l, conn, m.dataHead)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	defer s.ack(l, true)
	s.headSeen = max(s.headSeen, m.asOf)
	if !s.whole {
		s.doubt("revert of a copy that is not exact")
		return
	}
	if _, have := s.ring.find(m.cut, s.m.Position()); !have {
		// Other shards of this node took the block since Keys was answered. The copy
		// is as sound as before: it counts by its cut until a fill begins (F6).
		probeRingShort.Hit()
		s.broken = true
		return
	}
	s.rollback(m.cut)
	fits := s.force(m) && s.m.Position() == m.asOf
	s.writeRevert(m)
	if !fits {
		s.doubt("revert does not fit")
		return
	}
	s.m.AdvanceTime(m.time)
	s.m.Settle()
	if s.m.Digest() != m.digest {
		probeRevertDiffers.Hit()
		s.doubt("reverted copy differs")
		return
	}
	probeReverted.Hit()
	n.out.Event(Event{Kind: EventOverwritten, Group: s.r.g, Shard: s.id, Detail: "reverted"})
}

// force replaces what was asked for, plays the records, and replaces again: a
// record may have changed an asked key on the way to its present state.
func (s *shard) force(m *revert) bool {
	if !s.replace(m.states) {
		return false
	}
	s.rebase(m.cut)
	was := s.unlogged
	s.unlogged = true // it goes into the log as a whole
	defer func() { s.unlogged = was }()
	return s.play(m.records, true) && s.replace(m.states)
}

func (s *shard) replace(states []hashState) bool {
	for _, st := range states {
		if s.m.ReplaceRange(st.hash, st.hash, st.entries) != nil {
			return false
		}
	}
	return true
}
