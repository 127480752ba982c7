//go:build !race

package lru

const poisoned = false
