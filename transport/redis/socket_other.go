//go:build !linux

package redis

func corkFD(uintptr, bool) {}

func unreadFD(uintptr) bool { return false }
