package multiraft

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/baxromumarov/aegisKV/internal/fault"
)

// Now reads the clocks of lease-protocol section 2, in the order the fields of
// Instant say. It costs two system calls; requests use Glance and CheckClock instead.
func Now() Instant {
	mono, offset := CheckClock()
	raw := reading(unix.CLOCK_MONOTONIC_RAW) + fault.Skew()
	return Instant{
		Mono: mono, SuspendOffset: offset, Age: raw + offset, Wait: raw,
		Wall: time.Now().UnixMilli() + fault.Wall(),
	}
}

// Glance reads what requests and frames of data are judged by, without a system call:
// Mono and Wall, with the suspend offset that CheckClock met last. A request that is
// admitted by an offset of before a suspend is caught by the check before its reply, as
// one is that the suspend meets on its way.
func Glance() Instant {
	now := time.Now()
	return Instant{Mono: goMono + now.Sub(goStart) + fault.Skew(), SuspendOffset: time.Duration(lastOffset.Load()), Wall: now.UnixMilli() + fault.Wall()}
}

// lastOffset is the suspend offset that CheckClock gave last, ns.
var lastOffset atomic.Int64

// Go's monotonic clock is CLOCK_MONOTONIC, read without entering the kernel, but it
// counts from a start of its own: at goStart it was goMono. Both are read together
// once, so that all later readings are apart by the same few nanoseconds.
var goStart, goMono = func() (time.Time, time.Duration) {
	for try := 0; ; try++ {
		start := time.Now()
		mono := reading(unix.CLOCK_MONOTONIC)
		if time.Since(start) < offsetApart || try == offsetTries {
			return start, mono
		}
	}
}()

func monotonic() time.Duration { return goMono + time.Since(goStart) }

// offsetApart is how long the readings that make an offset may take: far below
// the slack of the check. A thread that was preempted between them reads again,
// or every busy moment would look like a suspend.
const (
	offsetApart = 100 * time.Microsecond
	offsetTries = 20
)

// CheckClock reads what Lease.Check needs: a monotonic reading that is no older
// than the return, and BOOTTIME - MONOTONIC. Of all that a pipeline asks of the
// kernel beside its bytes this is the only call left: every other clock comes
// without one.
func CheckClock() (mono, offset time.Duration) {
	before := monotonic()
	for range offsetTries {
		boot := reading(unix.CLOCK_BOOTTIME)
		mono = monotonic()
		offset = boot - mono
		if mono-before < offsetApart {
			break
		}
		before = mono
	}
	lastOffset.Store(int64(offset))
	return mono + fault.Skew(), offset
}

// reading asks the kernel. It does not tell Go's scheduler of it, as unix.ClockGettime
// would: the call never waits.
func reading(clock int32) time.Duration {
	var ts unix.Timespec
	if _, _, e := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		panic("multiraft: the kernel lacks a clock that leases need: " + e.Error())
	}
	return time.Duration(ts.Nano())
}
