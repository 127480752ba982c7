package main

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	// awakeFor is how long one of Go's processors is held at a time. It is less than
	// the 10 ms after which the runtime takes it away with a signal, and what a timer
	// of that processor may be late when all others compute.
	awakeFor = 2 * time.Millisecond
	// restFor is how long it is given back while the process has little to do, and
	// idleRestMax what that grows to while nothing changes: to look is to wake up.
	restFor     = 100 * time.Millisecond
	idleRestMax = 800 * time.Millisecond
	// busyPart of the time spent on a core is work that makes holding one worth while. It
	// is far above what an idle node takes together with the holding itself: at 0.02 a
	// node that had once been busy held a processor for ever, for its own sake.
	busyPart = 0.1
)

// stayAwake keeps the runtime's monitor thread from being put to sleep and woken
// again with every request. It sleeps whenever all of Go's processors are idle; a
// server that answers thirty thousand requests a second on one core is idle between
// most of them, and so a fifth of its CPU time went into these sleeps. One processor
// more than there are cores, held by a goroutine that waits in the kernel, is never
// idle: the monitor then looks around every 10 ms, as it does in a program that
// computes. An event loop of our own would spare as much, but could not wait for
// acks, leases or slow clients.
func stayAwake() {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	go func() {
		rest := restFor
		for began, spent := time.Now(), cpuTime(); ; {
			if took := time.Since(began); took >= restFor {
				before := spent
				began, spent = time.Now(), cpuTime()
				if !busy(spent-before, took) {
					time.Sleep(rest)
					rest = min(2*rest, idleRestMax)
					continue
				}
				rest = restFor
			}
			holdProcessor(awakeFor)
			yield()
		}
	}()
}

// busy says whether a process that spent so much CPU time in a period is working.
func busy(spent, took time.Duration) bool { return spent.Seconds() > busyPart*took.Seconds() }

// holdProcessor waits without telling the runtime, which would lend the processor to
// others. A collection or a preemption ends the wait by its signal.
func holdProcessor(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// yield lets others run. It is a function of its own, and must stay one, because what
// the collector asks of a goroutine is looked at when a function is entered:
// runtime.Gosched does not look, and forgets it. With Gosched in its place the
// collector asked in vain, by a signal every 13 us, until chance helped: collections
// took up to 22 s, and burned a core all the while.
//
//go:noinline
func yield() { runtime.Gosched() }

// cpuTime is what the process has spent so far.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
