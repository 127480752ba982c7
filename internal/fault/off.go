//go:build !chaos && !mutants

package fault

import "time"

// Enabled says whether this build takes orders.
const Enabled = false

// Skew is by how much clocks that count durations are ahead; here never.
func Skew() time.Duration { return 0 }

// Wall is by how many milliseconds the wall clock is ahead; here never.
func Wall() int64 { return 0 }

// Disk gives a new file what the orders make of it; here nothing.
func Disk(_ string, f Target) File { return f }

// Unsynced is what of a file is in memory only; here nothing.
func Unsynced(string) []byte { return nil }
