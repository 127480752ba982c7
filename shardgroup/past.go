package shardgroup

import (
	"errors"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/statemachine"
)

// Past is a walk of what a shard held at one moment, at its leaseholder, in steps, while
// writes go on. A pass of the shard as a checkpoint makes it was the other way: it is of
// no single moment without the log behind it, and a backup has no log.
//
// It is of one tenure: whoever holds the shard next may not have what was written last.
type Past struct {
	s      *shard
	past   *statemachine.Past
	epoch  uint32
	digest uint64 // of what is still to be brought
	keys   int
	bytes  int64
}

// Errors of a walk of the past.
var (
	// ErrFrozen: somebody else walks over the past of this shard.
	ErrFrozen = errors.New("shardgroup: another walk of the shard's past is under way")
	// ErrTenure: the shard has changed hands since the walk began.
	ErrTenure = errors.New("shardgroup: the shard has another holder, or another epoch, than when the walk began")
	errPast   = errors.New("shardgroup: a walk of the past brought something else than was there")
)

// Freeze begins a walk of what the shard holds now. It may keep keepBytesMax of what
// changes between two steps, beside the store. The reply needs a fresh lease check.
func (r *Replica) Freeze(id shardmap.ShardID, keepBytesMax int64, now multiraft.Instant) (p *Past, a Admission, err error) {
	s := r.shard(id)
	if s == nil {
		return nil, a, ErrUnavailable
	}
	for {
		if p, a, err = s.freeze(keepBytesMax, now); p != nil || err != nil {
			return p, a, err
		}
	}
}

// freeze gives nothing while there is more to sweep, so that the shard is held for a
// moment only: what is dead is not brought, but it is in the digest until it is swept.
func (s *shard) freeze(keepBytesMax int64, now multiraft.Instant) (*Past, Admission, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, err := s.admit(now); err != nil {
		return nil, a, err
	}
	if s.past != nil && !s.past.Ended() {
		return nil, Admission{}, ErrFrozen
	}
	s.pass(now)
	if s.sweep() {
		return nil, Admission{}, nil
	}
	s.past = s.m.Freeze(keepBytesMax)
	p := &Past{s: s, past: s.past, epoch: s.epoch, digest: s.m.Digest(), keys: s.m.Len(), bytes: s.m.Holdings().Live}
	return p, Admission{Lease: s.proof(), Version: s.m.Position()}, nil
}

// Position is the version of the last write that the walk shows.
func (p *Past) Position() shardmap.Version { return p.past.Position() }

// Time is the shard time of the moment, unix ms: what was dead by then is left out.
func (p *Past) Time() int64 { return p.past.Time() }

// Keys is how many entries the walk brings.
func (p *Past) Keys() int { return p.keys }

// Bytes is what their keys and values take, about.
func (p *Past) Bytes() int64 { return p.bytes }

// Replica is whose shard it is.
func (p *Past) Replica() *Replica { return p.s.r }

// Next appends the next entries, about sizeMax bytes of them and more than that only
// where a single one is longer. When more is false these were the last, and all of them
// together are what was there, by its digest. The reply needs a fresh lease check.
func (p *Past) Next(sizeMax int, dst []byte, now multiraft.Instant) (b []byte, more bool, a Admission, err error) {
	s, start := p.s, len(dst)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.epoch != p.epoch || !s.lease.Check(now.Mono, now.SuspendOffset) {
		p.past.End()
		return dst, false, a, ErrTenure
	}
	b, more, err = p.past.Chunk(sizeMax, dst)
	if err != nil {
		return dst, false, a, err
	}
	p.digest ^= statemachine.ChunkDigest(s.n.cfg.Secret, b[start:])
	if !more && p.digest != 0 {
		return dst, false, a, errPast
	}
	return b, more, Admission{Lease: s.proof(), Version: p.Position()}, nil
}

// KeptBytes is what the walk keeps now, beside the store.
func (p *Past) KeptBytes() int64 {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.past.KeptBytes()
}

// End gives the walk up.
func (p *Past) End() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.past.End()
}
