package node

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// spent does something and says how long the processor worked on it. It is the time of the
// thread: what else runs on a busy machine meanwhile does not count. 0 where that is not told.
func spent(do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, known := processorTime()
	do()
	after, _ := processorTime()
	if !known {
		return 0
	}
	return max(after-before, 0)
}

// processorTime is how long the processor has worked for this thread.
func processorTime() (time.Duration, bool) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err == nil
}
