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

// refuseShard is refuse for a shard; one that went elsewhere is nobody's fault: nil.
func (b backend) refuseShard(s *session, shard shardmap.ShardID, a shardgroup.Admission, err error) error {
	slot, _ := b.n.routes.Load().Layout().SlotRange(shard)
	err = b.refuse(s, slot, a, err)
	if errors.As(err, new(*redis.MovedError)) {
		return nil
	}
	return err
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
	slot, _ := layout.SlotRange(shard)
	r, _, err := b.replica(slot)
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
	err := b.eachCount(rs, func(_ shardmap.ShardID, keys int) { n += int64(keys) })
	return n, err
}

// eachCount counts the keys of every shard that this node serves.
func (b backend) eachCount(rs *redis.Session, yield func(shardmap.ShardID, int)) error {
	s := state(rs)
	for i := range b.n.routes.Load().Layout().Shards {
		shard := shardmap.ShardID(i)
		r, mine := b.serves(shard)
		if !mine {
			continue
		}
		keys, a, err := r.Count(shard, s.clock())
		if err != nil {
			if err = b.refuseShard(s, shard, a, err); err != nil {
				return err
			}
			continue
		}
		s.touch(r, a.Lease)
		yield(shard, keys)
	}
	return nil
}

// RandomKey implements redis.Backend: a shard by the number of its keys, and a key near
// a random place of it. Dead keys are counted and not found, so it may have to look
// further: it goes around the node once before it says that there is none.
func (b backend) RandomKey(rs *redis.Session) (key []byte, found bool, err error) {
	var before int64
	at := redis.Cursor(0)
	if err := b.eachCount(rs, func(shard shardmap.ShardID, keys int) {
		before += int64(keys)
		if keys > 0 && rand.Int64N(before) < int64(keys) {
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
