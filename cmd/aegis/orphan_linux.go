package main

import (
	"runtime"
	"syscall"
)

// dieWithMe makes a child process get SIGKILL when this one ends in whatever way, even
// by kill -9, so that no node outlives its demo. The kernel ties the signal to the
// thread that starts the child; the calling goroutine is therefore bound to its thread,
// and must live as long as the demo does.
func dieWithMe(attr *syscall.SysProcAttr) {
	runtime.LockOSThread()
	attr.Pdeathsig = syscall.SIGKILL
}
