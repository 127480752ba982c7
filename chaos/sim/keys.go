package sim

import (
	"fmt"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
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
}

func (w *World) makeKeys() {
	for u, n := range uses {
		for range n {
			name := fmt.Sprintf("k%d", len(w.keys))
			k := w.history.Key(name)
			w.keys = append(w.keys, simKey{k, []byte(name), w.layout().GroupOf(w.history.Shard(k)), use(u)})
		}
	}
}
