package shardgroup

import (
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Watcher hears of every key that changes in a shard which this node serves, with
// the shard's mutex held, so that what a Txn notes of its reads and what is heard
// here are in one order. It must not block and must not call back.
type Watcher interface {
	// Changed says that what was read of a key may not be true any more. origin is
	// that of the Command, 0 for what nobody asked for (expiry, eviction). key is valid
	// during the call only.
	Changed(shard shardmap.ShardID, key []byte, origin uint64)
	// Flushed says so of all keys of a shard.
	Flushed(shard shardmap.ShardID, origin uint64)
}

// watching is who watches a Node; nil in it = nobody.
type watching = atomic.Pointer[Watcher]

// Watch tells w of the changes from here on, nil nobody. Changes of copies that
// others hold the lease of are not told, nor that a lease ended: EventClosed says
// that. One call at a time.
func (n *Node) Watch(w Watcher) {
	if w == nil {
		n.watching.Store(nil)
	} else {
		n.watching.Store(&w)
	}
	for _, r := range n.all() {
		r.watch()
	}
}

// watch makes the machines tell, or not, as the node is watched now.
func (r *Replica) watch() {
	for _, s := range r.shards {
		s.mu.Lock()
		if w := r.n.watching.Load(); w != nil {
			s.m.Watch(shardWatch{s, *w})
		} else {
			s.m.Watch(nil)
		}
		s.mu.Unlock()
	}
}

// shardWatch passes what a machine tells on, with the shard's name, while it serves.
type shardWatch struct {
	s *shard
	w Watcher
}

var _ statemachine.Watcher = shardWatch{}

// Changed implements statemachine.Watcher.
func (t shardWatch) Changed(key []byte, origin uint64) {
	if t.s.serving() {
		t.w.Changed(t.s.id, key, origin)
	}
}

// Flushed implements statemachine.Watcher.
func (t shardWatch) Flushed(origin uint64) {
	if t.s.serving() {
		t.w.Flushed(t.s.id, origin)
	}
}
