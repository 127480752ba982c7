package shardgroup

import (
	"github.com/baxromumarov/aegisKV/lru"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// WarmSteps is how many steps a Warming has.
const WarmSteps = statemachine.WarmSteps

// Warming brings a key near that is about to be asked for (see lru.Store.Warm). Those
// of several keys are stepped together.
type Warming struct {
	s    *shard // nil = the key is not here
	hash uint64
}

// Warm begins the warming of a key.
func (r *Replica) Warm(id shardmap.ShardID, key []byte) Warming {
	s := r.shard(id)
	if s == nil {
		return Warming{}
	}
	return Warming{s, s.m.Hash(key)} // the key of the hash never changes
}

// Step takes one of WarmSteps steps, none that is of no use. A shard at work is left
// alone: a hint is not worth a wait.
func (w *Warming) Step(step int) {
	s := w.s
	if s == nil || !s.mu.TryLock() {
		return
	}
	if step == 1 && s.serving() {
		lru.PrefetchBytes(s.ring.ahead())
	}
	if !s.m.Warm(w.hash, step) {
		w.s = nil
	}
	s.mu.Unlock()
}
