package multiraft

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads the clocks of lease-protocol section 2, in the order the fields of
// Instant say. It costs about a microsecond; requests use CheckClock instead.
func Now() Instant {
	mono, boot := reading(unix.CLOCK_MONOTONIC), reading(unix.CLOCK_BOOTTIME)
	offset := boot - mono
	raw := reading(unix.CLOCK_MONOTONIC_RAW)
	return Instant{
		Mono: mono, SuspendOffset: offset, Age: raw + offset, Wait: raw,
		Wall: time.Now().UnixMilli(),
	}
}

// CheckClock reads what Lease.Check needs. The two clocks are read one after the
// other: what lies between them is far below the slack of the check.
func CheckClock() (mono, offset time.Duration) {
	mono = reading(unix.CLOCK_MONOTONIC)
	return mono, reading(unix.CLOCK_BOOTTIME) - mono
}

func reading(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("multiraft: the kernel lacks a clock that leases need: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
