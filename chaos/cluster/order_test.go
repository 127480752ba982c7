package cluster

import (
	"testing"
	"time"
)

// TestLogsAreReadByTheRightClock: what a node with a clock that is off writes down is
// judged by the clock of all.
func TestLogsAreReadByTheRightClock(t *testing.T) {
	const s = time.Second
	n := &Node{clock: []tick{{at: 10 * s}, {at: 20 * s, ppm: 100_000}, {at: 30 * s, ahead: s}, {at: 40 * s, ahead: s, ppm: -500_000}}}
	for own, right := range map[time.Duration]time.Duration{
		5 * s: 5 * s, 15 * s: 15 * s, 20*s + s/2 + s/20: 20*s + s/2, 33 * s: 32 * s, 43 * s: 44 * s,
	} {
		if got := n.right(own); got < right-time.Microsecond || got > right+time.Microsecond {
			t.Errorf("%v is %v, want %v", own, got, right)
		}
	}
}
