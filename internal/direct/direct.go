//go:build linux && !race

package direct

import (
	"syscall"
	"unsafe"
)

// Works says that the calls of this package work here.
const Works = true

// Read reads from a socket that does not block into memory that is not empty.
func Read(fd uintptr, b []byte) (int, syscall.Errno) {
	return call(syscall.SYS_READ, fd, b, nil, 0)
}

// Write writes to a socket that does not block what is not empty.
func Write(fd uintptr, b []byte) (int, syscall.Errno) {
	return call(syscall.SYS_WRITE, fd, b, nil, 0)
}

// sendTo sends a packet, to the address of that many bytes.
func sendTo(fd uintptr, b []byte, to unsafe.Pointer, size uintptr) syscall.Errno {
	_, errno := call(syscall.SYS_SENDTO, fd, b, to, size)
	return errno
}

// call makes a call on a piece of memory, again when a signal came first.
func call(trap, fd uintptr, b []byte, to unsafe.Pointer, size uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, uintptr(to), size)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
