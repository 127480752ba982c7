package multiraft

import (
	"sync/atomic"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Lease is one claim of this node to one group under one ballot. There is one
// object per (group, ballot), never reused: a request keeps the object it was
// admitted under and checks that same one before its reply leaves (P3).
//
// Requests only load the two atomics; only the Core publishes and closes.
type Lease struct {
	group  shardmap.GroupID // immutable
	ballot Ballot           // immutable

	deadline atomic.Int64 // on Instant.Mono, ns; 0 once closed or before the first publication
	offset   atomic.Int64 // Instant.SuspendOffset at the publication, ns
	open     atomic.Bool  // the data plane has applied its own Open for this ballot
	closed   atomic.Bool  // final
}

// suspendSlack is how far the suspend offset may wander between two readings
// without meaning that the machine slept.
const suspendSlack = time.Millisecond

// Group is the group of the claim.
func (l *Lease) Group() shardmap.GroupID { return l.group }

// Ballot is the ballot of the claim.
func (l *Lease) Ballot() Ballot { return l.ballot }

// Closed reports that the claim is over for good.
func (l *Lease) Closed() bool { return l == nil || l.closed.Load() }

// Check reports whether the claim is open and unexpired at a fresh reading of
// the monotonic clock and the suspend offset. The reading must be taken after
// the operation was applied or the value read (C1). It allocates nothing.
func (l *Lease) Check(mono, offset time.Duration) bool {
	if l == nil || !l.open.Load() || l.closed.Load() {
		return false
	}
	if seeded("nosuspend") {
		return int64(mono) < l.deadline.Load()
	}
	slept := offset - time.Duration(l.offset.Load())
	return int64(mono) < l.deadline.Load() && slept < suspendSlack && slept > -suspendSlack
}
