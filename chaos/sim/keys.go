package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// use is what a key is for: operations on it must not fail for its type.
type use uint8

const (
	registers use = iota // SET, DEL
	texts                // APPEND, some SET and DEL
	numbers              // INCRBY, DEL
	mortals              // SET with and without a TTL, EXPIRE, PERSIST, DEL
)

// uses is how many keys of each use a run has.
var uses = [...]int{registers: 14, texts: 8, numbers: 8, mortals: 10}

// simKey is one key of a run.
type simKey struct {
	key   chaos.Key
	name  []byte
	group shardmap.GroupID
	use   use
	flush bool // its shard may be flushed
}

// sampledKeys is how many keys porcupine judges as well, and secondLimit how long it
// may take for each.
const (
	sampledKeys = 4
	secondLimit = 8 * time.Second
)

func (w *World) makeKeys() {
	var sampled []chaos.Key
	for u, n := range uses {
		for range n * w.cfg.Keys {
			name := fmt.Sprintf("k%d", len(w.keys))
			k := w.history.Key(name)
			if u == int(registers) && w.cfg.Second && len(sampled) < sampledKeys {
				sampled = append(sampled, k)
			}
			w.keys = append(w.keys, simKey{k, []byte(name), w.layout().GroupOf(w.history.Shard(k)), use(u), true})
		}
	}
	if w.cfg.Second {
		w.history.Sample = chaos.NewSample(sampled...)
	}
	for i := range w.keys {
		w.keys[i].flush = !slices.ContainsFunc(sampled, func(k chaos.Key) bool {
			return w.history.Shard(k) == w.history.Shard(w.keys[i].key)
		})
	}
}

// hashKeys notes by which hashes evictions will name the keys.
func (w *World) hashKeys(hashKey uint64) {
	w.hashes = map[uint64]chaos.Key{}
	m := statemachine.New(statemachine.Config{HashKey: hashKey, BudgetBytes: 1 << 20})
	for _, k := range w.keys {
		w.hashes[m.Hash(k.name)] = k.key
	}
}

// evicted are the keys that a change cost.
func (w *World) evicted(by shardmap.Version, es []statemachine.Eviction) (keys []chaos.Evicted) {
	for _, e := range es {
		if k, known := w.hashes[e.Hash]; known {
			keys = append(keys, chaos.Evicted{Key: k, Version: e.Version})
		} else {
			w.broke("P17", "version %v evicts a key that nobody wrote", by)
		}
	}
	w.acted["evicted"] += len(keys)
	return keys
}
