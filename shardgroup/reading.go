package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// reading is what another node says of itself while it reads its image and its log. It takes
// part in nothing meanwhile: it cannot say yet what it has, so it votes, promises and answers
// nothing, and counts nowhere. What it says stops clocks and does no more: a takeover waits
// for it as long as it gets on.
type reading struct {
	done  uint64        // bytes, at the most
	moved time.Duration // Mono when that last rose
	heard time.Duration
	over  bool // it takes part since
}

const (
	// readingSilence is how long nothing may be heard of a node that reads, which says
	// something twice a second, before it is one that is merely down.
	readingSilence = 2 * time.Second
	// readingStall is for how long one may not get on. A node that dies and begins again and
	// again does not get on either.
	readingStall = 10 * time.Second
	// readingForget is after what silence one that reads has begun anew for another reason.
	readingForget = time.Minute
)

// Recovering takes note that a node is reading its image and log, and how many bytes of
// them it has read.
func (n *Node) Recovering(node shardmap.NodeID, done uint64, now multiraft.Instant) {
	n.readMu.Lock()
	defer n.readMu.Unlock()
	r, known := n.readers[node]
	if !known || r.over || now.Mono >= r.heard+readingForget {
		r = reading{done: done, moved: now.Mono}
	}
	if r.heard = now.Mono; done > r.done {
		r.done, r.moved = done, now.Mono
	}
	if n.readers == nil {
		n.readers = make(map[shardmap.NodeID]reading)
	}
	n.readers[node] = r
}

// Recovered says that a node takes part: whatever it reads later it reads from the beginning.
// Until when it read is kept, because it has not said yet what it has.
func (n *Node) Recovered(node shardmap.NodeID) {
	n.readMu.Lock()
	defer n.readMu.Unlock()
	if r, known := n.readers[node]; known && !r.over {
		r.over = true
		n.readers[node] = r
	}
}

// ReadUntil is until when a node was known to be getting on with what it reads, on Mono; 0 =
// never.
func (n *Node) ReadUntil(node shardmap.NodeID) time.Duration {
	n.readMu.Lock()
	defer n.readMu.Unlock()
	r, known := n.readers[node]
	if !known || mutant.Is("recovering-unheard") {
		return 0
	}
	if mutant.Is("recovering-for-ever") {
		return r.heard
	}
	return min(r.heard, r.moved+readingStall)
}

// readBy is until when some copy that has not answered was known to be read. No deadline of
// a takeover runs before that: each begins anew there, since a node that has read all must
// have the time to say so.
func (r *Replica) readBy() (last time.Duration) {
	for _, node := range r.copies() {
		if r.take.reply(node) == nil {
			last = max(last, r.n.ReadUntil(node))
		}
	}
	return last
}

// Reading says how many bytes of its image and log a node has read that takes part in
// nothing meanwhile; not ok when nothing of that kind was heard of it lately.
func (n *Node) Reading(node shardmap.NodeID, now multiraft.Instant) (done uint64, ok bool) {
	n.readMu.Lock()
	defer n.readMu.Unlock()
	r, known := n.readers[node]
	return r.done, known && !r.over && now.Mono < r.heard+readingSilence
}
