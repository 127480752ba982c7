package chaos

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Verdict is what a node says of a version (AEGIS.CHECK).
type Verdict uint8

// Verdicts.
const (
	VerdictUnknown Verdict = iota
	VerdictLost
	VerdictPending
	VerdictDurable
)

func (v Verdict) String() string {
	return [...]string{"unknown", "lost", "pending", "durable"}[v]
}

// saidLost is a version that somebody was told is lost.
type saidLost struct {
	shard   shardmap.ShardID
	version shardmap.Version
	node    shardmap.NodeID
	at      time.Duration
	who     string
}

// rowsKept is how many Opens a node remembers; versions of before are unknown to it.
const rowsKept = 64

// Judged takes a verdict that a client was told: durable and pending are never
// said of what is lost, and what is said to be durable no clean Open may lose.
// "Lost" may be said as soon as the Open is committed, before its holder serves;
// Finish looks whether it came true. A node that serves the shard knows of each
// version unless too many Opens lie between.
func (h *History) Judged(id shardmap.ShardID, v shardmap.Version, w Verdict, serves bool, node shardmap.NodeID, at time.Duration) {
	switch w {
	case VerdictUnknown:
		if cuts := h.shards[id].cuts; serves && len(cuts) < rowsKept {
			h.broken("token", "shard %d: %v serves and does not know at %v what became of version %v", id, called(node), at, v)
		}
	case VerdictLost:
		h.said = append(h.said, saidLost{id, v, node, at, "says"})
	case VerdictDurable, VerdictPending:
		if h.lost(id, v) {
			h.broken("token", "shard %d: %v says at %v that version %v is %v, but it was cut", id, called(node), at, v, w)
		} else if w == VerdictDurable {
			h.durable(id, v)
		}
	}
}

// Rested takes the verdict of a server at rest, when everything is held that
// survives: it can only be durable or lost, and lost only if an Open cut it.
func (h *History) Rested(id shardmap.ShardID, v shardmap.Version, w Verdict, node shardmap.NodeID, at time.Duration) {
	if w != VerdictLost && w != VerdictDurable && len(h.shards[id].cuts) < rowsKept {
		h.broken("token", "shard %d: at rest %v says that version %v is %v", id, called(node), v, w)
	}
	h.Judged(id, v, w, true, node, at)
}

// RolledBack takes a version that a node lists as undone.
func (h *History) RolledBack(id shardmap.ShardID, v shardmap.Version, node shardmap.NodeID, at time.Duration) {
	h.said = append(h.said, saidLost{id, v, node, at, "lists"})
}

// Finish judges what only the end of a run shows.
func (h *History) Finish() {
	for _, s := range h.said {
		if !h.lost(s.shard, s.version) {
			h.broken("token", "shard %d: %v %s version %v as lost at %v, but no Open cut it", s.shard, called(s.node), s.who, s.version, s.at)
		}
	}
	h.said = h.said[:0]
}

// Waited takes an answer to WAIT: that n seats besides the holder, out of so many,
// hold a version; short says that fewer were found than had just been reported.
func (h *History) Waited(id shardmap.ShardID, v shardmap.Version, n, seats int, short bool) {
	if n >= seats {
		h.broken("token", "shard %d: WAIT counts %d copies of version %v besides the holder's, with %d seats", id, n, v, seats)
	}
	if n+1 > seats/2 && !short {
		h.durable(id, v)
	}
}
