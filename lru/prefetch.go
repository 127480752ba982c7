//go:build amd64 || arm64

package lru

import "unsafe"

// prefetch brings the cache line of p near. It is a hint: no address is wrong.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// prefetch3 is prefetch of three lines: a call costs as much as what it does.
//
//go:noescape
func prefetch3(p unsafe.Pointer)
