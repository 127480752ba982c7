// Package sim runs whole clusters of the real rule code, clients included, in
// one goroutine on simulated network, disks and clocks, from a seed.
//
// The nodes are internal/node Cores: raft, leases, group 0, data plane. A seed
// gives the same run, event by event; a running hash of all events shows it.
// It must not use a clock, goroutine or random source of its own.
package sim
