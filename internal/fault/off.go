//go:build !chaos

package fault

import "time"

// Enabled says whether this build takes orders.
const Enabled = false

// Skew is by how much clocks that count durations are ahead; here never.
func Skew() time.Duration { return 0 }

// Wall is by how many milliseconds the wall clock is ahead; here never.
func Wall() int64 { return 0 }

// Disk gives a file what the orders make of it; here nothing.
func Disk(f File) File { return f }
