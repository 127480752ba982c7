package shardgroup

import (
	"unsafe"

	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Warming is a key that is about to be asked for.
type Warming struct {
	Shard shardmap.ShardID
	Key   []byte

	s    *shard
	hash uint64
	slot uint64
	held bool // the shard is locked for this key, and those of it that follow
	more bool // there is something left to bring near
}

// Warm brings keys near (see lru.Store.Warm). It takes a step of all of them before the
// next one, and holds their shards meanwhile, a microsecond or two: a lock taken anew
// for each step lets the processor look no further than itself, which cost more than the
// waits that were saved. A shard at work is left alone: a hint is not worth a wait, and
// who holds one shard must not wait for another.
func (n *Node) Warm(ws []Warming) {
	for i := range ws {
		w := &ws[i]
		if w.s = n.ReplicaOf(w.Shard).shard(w.Shard); w.s != nil {
			lru.Prefetch(unsafe.Pointer(&w.s.mu))
		}
		w.hash = lru.Hash(n.cfg.Secret, w.Key)
	}
	for i := range ws {
		ws[i].begin(ws[:i])
	}
	for step := 1; step < statemachine.WarmSteps; step++ {
		for i := range ws {
			if w := &ws[i]; w.more {
				w.more = w.s.m.Warm(w.hash, step, &w.slot)
			}
		}
	}
	for i := range ws {
		if ws[i].held {
			ws[i].s.mu.Unlock()
		}
	}
}

// begin locks the shard, unless one of the keys before it has, and takes the first step.
func (w *Warming) begin(before []Warming) {
	if w.s == nil {
		return
	}
	if w.held = w.s.mu.TryLock(); !w.held && !w.follows(before) {
		return
	}
	if w.held && w.s.serving() {
		lru.PrefetchBytes(w.s.ring.ahead())
	}
	w.more = w.s.m.Warm(w.hash, 0, &w.slot)
}

// follows says that one of the keys before holds the shard of this one.
func (w *Warming) follows(before []Warming) bool {
	for i := range before {
		if before[i].held && before[i].s == w.s {
			return true
		}
	}
	return false
}
