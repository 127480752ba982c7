//go:build race

package resp

// raceBuild: sync.Pool forgets at random, so allocations mean nothing.
const raceBuild = true
