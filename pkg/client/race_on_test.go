//go:build race

package client

// raceBuild: sync.Pool forgets at random, so allocations mean nothing.
const raceBuild = true
