package multiraft

import "time"

// Instant is one set of clock readings of a node (lease-protocol section 2),
// taken in the order of the fields. Only differences mean anything, except Wall.
type Instant struct {
	// Mono is Go's monotonic clock: cheap, but slewed by time daemons and stopped
	// in suspend. Only the check of each request uses it.
	Mono time.Duration
	// SuspendOffset is BOOTTIME - MONOTONIC: it moves when the machine was suspended.
	SuspendOffset time.Duration
	// Age is unslewed and counts suspend; the holder's stamps and expiry run on it.
	Age time.Duration
	// Wait is unslewed and stops in suspend; promises, holds and waits run on it.
	Wait time.Duration
	// Wall is unix time in milliseconds. TTLs use it, leases never do.
	Wall int64
}
