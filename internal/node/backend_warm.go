package node

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
)

// Warm implements redis.Warmer.
func (b backend) Warm(keys [][]byte) {
	var room [16]shardgroup.Warming
	ws := room[:0]
	layout := b.n.routes.Load().Layout()
	for _, key := range keys {
		ws = append(ws, shardgroup.Warming{Shard: layout.ShardOf(shardmap.SlotOf(key)), Key: key})
	}
	b.n.core.Data().Warm(ws)
}
