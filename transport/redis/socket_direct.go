//go:build linux && !race

package redis

import (
	"syscall"
	"unsafe"
)

// direct says that readFD and writeFD work here.
const direct = true

// readFD and writeFD do not tell the runtime that they enter the kernel: on a socket
// that does not block they return at once, and the telling costs as much as they do.
func readFD(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.SYS_READ, fd, b) }

func writeFD(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.SYS_WRITE, fd, b) }

// call makes a call on a piece of memory that is not empty, again when a signal came
// first.
func call(trap, fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
