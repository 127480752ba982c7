package shardgroup

import "sync/atomic"

// A node that restarts with less memory than it had finds more in its image and its log than
// it can hold. What it leaves out is as good as evicted, the least used first: every copy has a
// fair part of the memory from the moment when all of it is taken. The copy stands where it
// stood, for the keys that it has. As a follower it asks for a fill, which compares; once it
// holds the shard, what it lacks is evicted. A copy that is given up would cost more, and
// everything where all nodes have less. To read everything and to let the
// leaseholder evict was the other way, and took as much memory as before.
type fitting struct {
	limit, share int64        // bytes: of all copies, and of each when there is not enough
	held         atomic.Int64 // bytes, of all copies
	tight        atomic.Bool
}

// Fit bounds what all copies of the node hold while they are restored. It is called before
// anything is, and SetLog ends it.
func (n *Node) Fit(limitBytes int64) {
	copies := 0
	for _, r := range n.all() {
		copies += len(r.shards)
	}
	n.fitting = &fitting{limit: limitBytes, share: limitBytes / int64(max(1, copies))}
}

// LeftOut is how many entries were left out of how many copies, for want of memory.
func (n *Node) LeftOut() (entries, copies int) {
	for _, r := range n.all() {
		for _, s := range r.shards {
			s.mu.Lock()
			if entries += s.leftOut; s.leftOut > 0 {
				copies++
			}
			s.mu.Unlock()
		}
	}
	return entries, copies
}

// weighEvery is how many bytes of a log are played into a copy before it is weighed.
const weighEvery = 4 << 10

// weigh counts what the restoring has added to a copy since it was weighed last, and leaves
// out what is too much. The caller holds mu, and calls squeeze when it does not.
func (s *shard) weigh() {
	f := s.n.fitting
	if f == nil {
		return
	}
	if f.tight.Load() {
		s.leaveOut(f.share)
	}
	held := s.m.HeldBytes()
	f.held.Add(held - s.weighed)
	s.weighed, s.unweighed = held, 0
}

// squeeze is called after weigh: when all memory is taken, every copy has its part of it
// from here on.
func (n *Node) squeeze() {
	f := n.fitting
	if f == nil || f.held.Load() <= f.limit || !f.tight.CompareAndSwap(false, true) {
		return
	}
	for _, r := range n.all() {
		for _, s := range r.shards {
			s.mu.Lock()
			s.weigh()
			s.mu.Unlock()
		}
	}
}

// leaveOut brings a copy that is restored down to so many bytes.
func (s *shard) leaveOut(bytes int64) {
	if s.m.HeldBytes() <= bytes {
		return
	}
	n, digest := s.m.LeaveOut(bytes)
	s.leftOut, s.missing = s.leftOut+n, s.missing^digest
}

// holds says whether the copy has this digest. Of one that left something out records may
// have changed what it lacks, and nobody can say: log and image have sums of their own.
func (s *shard) holds(digest uint64) bool { return s.leftOut > 0 || s.m.Digest() == digest }

// lacksNothing says that what was left out counts no more: the copy holds nothing, gets what
// another holds, or is what others get.
func (s *shard) lacksNothing() { s.leftOut, s.missing = 0, 0 }
