package node

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// Held implements redis.Backend.
func (b backend) Held(rs *redis.Session, shard shardmap.ShardID, epoch uint32, v shardmap.Version) (shardmap.Version, int, error) {
	s := state(rs)
	slot, r, err := b.shard(shard)
	if err != nil {
		return 0, 0, err
	}
	seen, a, err := r.Look(shard, nil, s.clock())
	if err != nil {
		return 0, 0, b.refuse(s, slot, a, err)
	}
	s.touch(r, a.Lease)
	if v == 0 {
		v = a.Version
	}
	n, ok := r.Holding(a.Lease, shard, v)
	if !ok || seen.Epoch != epoch {
		return 0, 0, redis.ErrUnblocked
	}
	return v, n, nil
}

// Followers implements redis.Backend.
func (b backend) Followers() int { return b.followers() }
