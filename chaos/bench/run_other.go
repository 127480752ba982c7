//go:build !linux

package bench

import "errors"

// Run needs /proc and epoll.
func Run(Options) (Report, error) {
	return Report{}, errors.New("the benchmark charges servers by /proc and needs Linux")
}

// Binary is the aegis in PATH.
func Binary() string { return "aegis" }
