package multiraft

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads the clocks of lease-protocol section 2, in the order the fields of
// Instant say. It costs about a microsecond; requests use CheckClock instead.
func Now() Instant {
	mono, offset := CheckClock()
	raw := reading(unix.CLOCK_MONOTONIC_RAW)
	return Instant{
		Mono: mono, SuspendOffset: offset, Age: raw + offset, Wait: raw,
		Wall: time.Now().UnixMilli(),
	}
}

// offsetApart is how long the readings that make an offset may take: far below
// the slack of the check. A thread that was preempted between them reads again,
// or every busy moment would look like a suspend.
const (
	offsetApart = 100 * time.Microsecond
	offsetTries = 20
)

// CheckClock reads what Lease.Check needs: a monotonic reading that is no older
// than the return, and BOOTTIME - MONOTONIC.
func CheckClock() (mono, offset time.Duration) {
	before := reading(unix.CLOCK_MONOTONIC)
	for range offsetTries {
		boot := reading(unix.CLOCK_BOOTTIME)
		mono = reading(unix.CLOCK_MONOTONIC)
		offset = boot - mono
		if mono-before < offsetApart {
			break
		}
		before = mono
	}
	return mono, offset
}

func reading(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("multiraft: the kernel lacks a clock that leases need: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
