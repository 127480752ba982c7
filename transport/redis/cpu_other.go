//go:build !unix

package redis

// cpuFields is empty where the system has no getrusage: clients build this room
// there (the server in memory of clienttest), nodes do not run there.
func cpuFields() [][2]string { return nil }
