//go:build !linux

package node

import "time"

// spent does something and says how long that took: the time of the processor is not told
// here, so what else runs meanwhile counts too.
func spent(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}
