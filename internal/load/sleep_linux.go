package load

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// exactSleeps lets the thread of the caller be woken as late as a nanosecond after its
// time, instead of 50 us.
func exactSleeps() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// sleep blocks the thread. A Go timer would be the simpler way; where nothing else runs
// it is up to 1 ms late, because the poller waits in whole milliseconds.
func sleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // a signal only makes it shorter; the caller looks at the clock
}
