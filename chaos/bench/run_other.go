//go:build !linux

package bench

import "errors"

// Run needs /proc and epoll.
func Run(Options) (Report, error) {
	return Report{}, errors.New("the benchmark charges servers by /proc and needs Linux")
}

// Memory needs /proc.
func Memory(MemoryOptions) (MemoryReport, error) {
	return MemoryReport{}, errors.New("the memory of a server is read from /proc and needs Linux")
}

// Durability needs /proc and epoll.
func Durability(DurabilityOptions) (DurabilityReport, error) {
	return DurabilityReport{}, errors.New("the benchmark charges servers by /proc and needs Linux")
}

// Binary is the aegis in PATH.
func Binary() string { return "aegis" }
