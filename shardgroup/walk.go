package shardgroup

import (
	"iter"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Keys are keys copied out of a shard. The zero value is empty.
type Keys struct {
	bytes []byte
	ends  []int
}

// Reset empties it and keeps its memory.
func (k *Keys) Reset() { k.bytes, k.ends = k.bytes[:0], k.ends[:0] }

// Len is the number of keys.
func (k *Keys) Len() int { return len(k.ends) }

// All yields the keys, which alias it.
func (k *Keys) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := 0
		for _, to := range k.ends {
			if !yield(k.bytes[from:to:to]) {
				return
			}
			from = to
		}
	}
}

func (k *Keys) add(key []byte) {
	k.bytes = append(k.bytes, key...)
	k.ends = append(k.ends, len(k.bytes))
}

// Walk copies about n keys that are alive, from a place in the shard on, into keys, and
// answers the next place, 0 at the end. It holds the shard for as long as that takes:
// 128 keys are well below a millisecond. The reply needs a fresh lease check.
func (r *Replica) Walk(id shardmap.ShardID, place uint64, n int, keys *Keys, now multiraft.Instant) (next uint64, a Admission, err error) {
	s := r.shard(id)
	if s == nil {
		return 0, a, ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err = s.admit(now); err != nil {
		return 0, a, err
	}
	next = s.m.Walk(place, n, s.pass(now), keys.add)
	return next, Admission{Lease: s.proof(), Version: s.m.Position()}, nil
}

// Count is the number of keys in a shard, dead ones that were not swept yet included,
// as Redis counts. The reply needs a fresh lease check.
func (r *Replica) Count(id shardmap.ShardID, now multiraft.Instant) (int, Admission, error) {
	s := r.shard(id)
	if s == nil {
		return 0, Admission{}, ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err := s.admit(now); err != nil {
		return 0, a, err
	}
	return s.m.Len(), Admission{Lease: s.proof(), Version: s.m.Position()}, nil
}
