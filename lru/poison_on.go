//go:build race

package lru

const poisoned = true
