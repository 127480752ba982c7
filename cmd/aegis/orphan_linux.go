package main

import (
	"runtime"
	"syscall"
)

// dieWithMe makes a child process get a signal when this one ends in whatever way, even
// by kill -9, so that no node outlives its demo, and none its supervisor for long. The
// kernel ties the signal to the thread that starts the child; the calling goroutine is
// therefore bound to its thread, and must live as long as the child does.
func dieWithMe(attr *syscall.SysProcAttr, sig syscall.Signal) {
	runtime.LockOSThread()
	attr.Pdeathsig = sig
}
