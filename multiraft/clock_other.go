//go:build !linux

package multiraft

import (
	"sync/atomic"
	"time"
)

var (
	clockStart = time.Now()
	wallSeen   atomic.Int64 // wall minus monotonic, ns
)

// jumpSlack is how far wall and monotonic time may drift apart between two
// readings before it counts as a suspend: lease lengths are shorter than that
// would matter for, and time daemons slew far less.
const jumpSlack = 500 * time.Millisecond

// Now reads the clocks. Where the raw and boot clocks are missing, a jump of
// wall time against monotonic time stands for a suspend: it moves the offset and
// so voids every lease.
func Now() Instant {
	mono, offset := CheckClock()
	return Instant{Mono: mono, SuspendOffset: offset, Age: mono + offset, Wait: mono, Wall: time.Now().UnixMilli()}
}

// Glance reads what requests are admitted by.
func Glance() Instant { return Now() }

// CheckClock reads what Lease.Check needs.
func CheckClock() (mono, offset time.Duration) {
	now := time.Now()
	mono = now.Sub(clockStart)
	gap := now.UnixNano() - int64(mono)
	seen := wallSeen.Load()
	if seen == 0 || gap-seen > int64(jumpSlack) || seen-gap > int64(jumpSlack) {
		wallSeen.Store(gap)
		seen = gap
	}
	return mono, time.Duration(seen - clockStart.UnixNano())
}
