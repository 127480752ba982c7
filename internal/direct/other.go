//go:build !linux

package direct

import (
	"net/netip"
	"syscall"
)

// Works says that the calls of this package work here.
const Works = false

// Read does not work here.
func Read(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Write does not work here.
func Write(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// IPv6 is not known here.
func IPv6(uintptr) bool { return false }

// SendTo does not work here.
func SendTo(uintptr, []byte, netip.AddrPort, bool) syscall.Errno { return syscall.ENOSYS }
