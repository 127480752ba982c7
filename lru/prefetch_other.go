//go:build !amd64 && !arm64

package lru

import "unsafe"

func prefetch(unsafe.Pointer) {}

func prefetch3(unsafe.Pointer) {}
