package node

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Warm implements redis.Warmer.
func (b backend) Warm(keys [][]byte) {
	var room [16]shardgroup.Warming
	ws := room[:0]
	layout, data := b.n.routes.Load().Layout(), b.n.core.Data()
	for _, key := range keys {
		shard := layout.ShardOf(shardmap.SlotOf(key))
		ws = append(ws, data.ReplicaOf(shard).Warm(shard, key))
	}
	for step := range shardgroup.WarmSteps {
		for i := range ws {
			ws[i].Step(step)
		}
	}
}
