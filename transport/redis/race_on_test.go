//go:build race

package redis

// raceBuild: sync.Pool forgets at random, so allocations mean nothing.
const raceBuild = true
