package node

import (
	"errors"
	"math/rand/v2"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/shardgroup"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// walkMax is how many keys are copied in one hold of a shard.
const walkMax = 128

// serves finds the shard if it is this node's: it has the lease, or all nodes are told
// that it has. In the second case the shard is waited for rather than left out, so that
// what is counted or listed is never silently less than what clients find here.
func (b backend) serves(shard shardmap.ShardID) (*shardgroup.Replica, bool) {
	r := b.n.core.Data().ReplicaOf(shard)
	if r == nil {
		return nil, false
	}
	slot, _ := b.n.routes.Load().Layout().SlotRange(shard)
	return r, r.Lease() != nil || b.n.routes.Load().LeaderOf(slot) == b.n.self
}

// Walk implements redis.Backend.
func (b backend) Walk(rs *redis.Session, at redis.Cursor, n int, visit func(key []byte)) (redis.Cursor, error) {
	for shards := b.n.routes.Load().Layout().Shards; int(at.Shard()) < shards; at = redis.CursorAt(at.Shard()+1, 0) {
		if _, mine := b.serves(at.Shard()); !mine {
			continue
		}
		next, err := b.Step(rs, at, n, visit)
		if !errors.As(err, new(*redis.MovedError)) {
			return next, err
		}
	}
	return 0, nil
}

// Step implements redis.Backend.
func (b backend) Step(rs *redis.Session, at redis.Cursor, n int, visit func(key []byte)) (redis.Cursor, error) {
	s, layout := state(rs), b.n.routes.Load().Layout()
	shard := at.Shard()
	if int(shard) >= layout.Shards {
		return 0, nil
	}
	slot, r, err := b.shard(shard)
	if err != nil {
		return at, err
	}
	s.keys.Reset()
	next, a, err := r.Walk(shard, at.Place(), min(n, walkMax), &s.keys, s.clock())
	if err != nil {
		return at, b.refuse(s, slot, a, err)
	}
	s.touch(r, a.Lease)
	for key := range s.keys.All() {
		visit(key)
	}
	switch {
	case next != 0:
		return redis.CursorAt(shard, next), nil
	case int(shard)+1 < layout.Shards:
		return redis.CursorAt(shard+1, 0), nil
	}
	return 0, nil
}

// Size implements redis.Backend.
func (b backend) Size(rs *redis.Session) (int64, error) {
	n := int64(0)
	err := b.eachCount(rs, func(_ shardmap.ShardID, keys int64) { n += keys })
	return n, err
}

// eachCount counts the keys of every shard that this node serves. One that went elsewhere
// meanwhile is nobody's fault.
func (b backend) eachCount(rs *redis.Session, yield func(shardmap.ShardID, int64)) error {
	for i := range b.n.routes.Load().Layout().Shards {
		shard := shardmap.ShardID(i)
		if _, mine := b.serves(shard); !mine {
			continue
		}
		keys, err := b.Count(rs, shard)
		switch {
		case err == nil:
			yield(shard, keys)
		case !errors.As(err, new(*redis.MovedError)):
			return err
		}
	}
	return nil
}

// Count implements redis.Backend.
func (b backend) Count(rs *redis.Session, shard shardmap.ShardID) (int64, error) {
	s := state(rs)
	slot, r, err := b.shard(shard)
	if err != nil {
		return 0, err
	}
	keys, a, err := r.Count(shard, s.clock())
	if err != nil {
		return 0, b.refuse(s, slot, a, err)
	}
	s.touch(r, a.Lease)
	return int64(keys), nil
}

// shard finds where a shard is served here, and its first slot, or says where else.
func (b backend) shard(id shardmap.ShardID) (shardmap.Slot, *shardgroup.Replica, error) {
	layout := b.n.routes.Load().Layout()
	if int(id) >= layout.Shards {
		return 0, nil, redis.ErrDown
	}
	slot, _ := layout.SlotRange(id)
	r, _, err := b.replica(slot)
	return slot, r, err
}

// RandomKey implements redis.Backend: a shard by the number of its keys, and a key near
// a random place of it. Dead keys are counted and not found, so it may have to look
// further: it goes around the node once before it says that there is none.
func (b backend) RandomKey(rs *redis.Session) (key []byte, found bool, err error) {
	var before int64
	at := redis.Cursor(0)
	if err := b.eachCount(rs, func(shard shardmap.ShardID, keys int64) {
		before += keys
		if keys > 0 && rand.Int64N(before) < keys {
			at = redis.CursorAt(shard, rand.Uint64N(redis.Places))
		}
	}); err != nil || before == 0 {
		return nil, false, err
	}
	for rounds := 0; rounds < 2; {
		seen := 0
		at, err = b.Walk(rs, at, 16, func(k []byte) {
			if seen++; rand.IntN(seen) == 0 {
				key = append(key[:0], k...)
			}
		})
		if err != nil || seen > 0 {
			return key, seen > 0, err
		}
		if at == 0 {
			rounds++
		}
	}
	return nil, false, nil
}
