package chaos

import (
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Cached is what a client keeps of one reading, until somebody takes it back.
type Cached struct {
	Key Key
	at  shardmap.Version // of the write that it shows; 0 = there was none yet
}

// Cached is for a reading that shows a key as it is now; version is that of the value,
// 0 when the key was absent.
func (h *History) Cached(k Key, version shardmap.Version) Cached {
	if top := h.keys[k].last(); version == 0 && top != nil {
		version = top.version
	}
	return Cached{k, version}
}

// Hit judges an answer from a cache at a time. What it shows must have been true at some
// time within the bound (P19). And no client is shown what it knows to be old: seen
// is the position that the shard had in some answer which came the same way before (P20).
func (h *History) Hit(c Cached, at, bound time.Duration, seen shardmap.Version) {
	k := &h.keys[c.Key]
	next := len(k.log)
	for next > 0 && k.log[next-1].version > c.at {
		next--
	}
	old := time.Duration(-1)
	switch {
	case c.at != 0 && (next == 0 || k.log[next-1].version != c.at):
		if cut := h.cutBy(k.shard, c.at); cut != nil {
			old = at - cut.At
		}
	case next < len(k.log):
		old = at - k.log[next].ran
		if k.log[next].version <= seen {
			h.broken("P20", "%q: version %v is answered from a cache at %v, after an answer at position %v of its shard and %s", k.name, c.at, at, seen, &k.log[next])
		}
	}
	h.Hits++
	if old > bound {
		h.broken("P19", "%q: version %v is answered from a cache at %v, %v after it was true for the last time; the bound is %v", k.name, c.at, at, old, bound)
	}
	h.Oldest = max(h.Oldest, old)
}
