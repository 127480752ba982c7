package multiraft

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Mono must be the kernel's own CLOCK_MONOTONIC: with another start the offset to
// BOOTTIME would still be constant, but no longer what other tools of the machine see.
func TestGoReadsTheKernelsMonotonicClock(t *testing.T) {
	for range 100 {
		before := reading(unix.CLOCK_MONOTONIC)
		mono := monotonic()
		after := reading(unix.CLOCK_MONOTONIC)
		if mono < before-offsetApart || mono > after+offsetApart {
			t.Fatalf("%v is not from %v to %v", mono, before, after)
		}
	}
}

func BenchmarkGlance(b *testing.B) {
	for b.Loop() {
		Glance()
	}
}

func BenchmarkCheckClock(b *testing.B) {
	for b.Loop() {
		CheckClock()
	}
}
