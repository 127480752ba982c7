//go:build linux && race

package redis

import (
	"errors"
	"syscall"
)

const direct = true

// The race detector takes what goes through a socket for an order of events only if
// it sees the calls.
func readFD(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.Read, fd, b) }

func writeFD(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.Write, fd, b) }

func call(do func(int, []byte) (int, error), fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, err := do(int(fd), b)
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			return n, 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
