//go:build amd64 || arm64

package lru

import "unsafe"

// prefetch brings the cache line of p near. It is a hint: no address is wrong.
//
//go:noescape
func prefetch(p unsafe.Pointer)
