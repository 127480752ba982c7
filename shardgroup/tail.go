package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// tailOf is the bytes of records above held: what no takeover is obliged to find (L2).
func (s *shard) tailOf() int64 { return int64(s.ring.end - s.heldOff) }

// overBound says whether the tail bound is reached. An empty tail always takes
// one record, or large values could never be written; declared exposure lifts
// the bound (L5).
func (s *shard) overBound(now time.Duration) bool {
	if s.ring.end == s.heldOff || s.soloOn || mutant.Is("solo-not-declared") {
		return false
	}
	return s.tail.age(now) > s.n.cfg.TailAge ||
		s.r.tailBytes.Load() > s.n.cfg.TailBytes ||
		s.n.tailBytes.Load() > s.n.cfg.RingBytes/2
}

// countTail counts bytes of a record that was just appended to the ring.
func (s *shard) countTail(n int) {
	s.r.tailBytes.Add(int64(n))
	s.n.tailBytes.Add(int64(n))
}

// setHeld moves held and everything counted from it.
func (s *shard) setHeld(off uint64) {
	d := int64(off - s.heldOff)
	s.heldOff = off
	s.tail.trim(off, s.ring.end)
	if d != 0 {
		s.countTail(int(-d))
	}
}
