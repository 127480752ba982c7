package shardgroup

import (
	"errors"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// ErrStale says that this copy may lack more than was allowed.
var ErrStale = errors.New("shardgroup: the copy may be older than allowed")

// GetStale looks a key up in a copy that follows (F10): the answer may lack what was
// written within bound before now, and no more. How old the copy is follows from echoed
// times, not from clocks: a Tick that lists the shard was written by a leaseholder under
// its lease, behind all of its records, after it had an ack that this node sent at a
// known moment. So the copy has all that was written before that moment. A copy that
// diverges is not listed, nor one that is being filled. least, unless 0, is a version that
// the copy must have in its history besides; quiet and dst are those of Get.
func (r *Replica) GetStale(id shardmap.ShardID, key, dst []byte, quiet bool, bound time.Duration, least shardmap.Version, now multiraft.Instant) (val statemachine.Value, found bool, err error) {
	s := r.shard(id)
	if s == nil {
		return val, false, ErrUnavailable
	}
	if least != 0 {
		r.mu.Lock() // no Open comes between the judgement and the look
		defer r.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving() || !s.whole || s.fresh == 0 || now.Mono+now.SuspendOffset-s.fresh > bound || !r.line.has(s.idx, least, s.m.Position()) {
		return val, false, ErrStale
	}
	val, found = s.m.Lookup(key, quiet, s.m.Time())
	val.Data = append(dst, val.Data...)
	return val, found, nil
}
