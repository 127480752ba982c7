//go:build linux && race

package direct

import (
	"errors"
	"syscall"
	"unsafe"
)

// Works says that the calls of this package work here.
const Works = true

// Read reads from a socket that does not block. The race detector takes what goes
// through a socket for an order of events only if it sees the calls.
func Read(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.Read, fd, b) }

// Write writes to a socket that does not block.
func Write(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.Write, fd, b) }

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

// sendTo sends a packet. Packets may be lost, and order nothing.
func sendTo(fd uintptr, b []byte, to unsafe.Pointer, size uintptr) syscall.Errno {
	_, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, uintptr(to), size)
	return errno
}
