//go:build race

package node

// raceBuild: sync.Pool forgets at random, so allocations mean nothing.
const raceBuild = true
