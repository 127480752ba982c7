//go:build !linux

package redis

import "syscall"

// direct says that readFD and writeFD work here.
const direct = false

func readFD(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func writeFD(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func corkFD(uintptr, bool) {}

func unreadFD(uintptr) bool { return false }
