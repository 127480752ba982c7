//go:build race

package multiraft

// raceBuild: one goroutine runs the whole of it, ten times slower; the stage without the
// race detector has all of the seeds.
const raceBuild = true
