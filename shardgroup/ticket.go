package shardgroup

import (
	"time"

	"github.com/baxromumarov/aegisKV/internal/mutant"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Level says how many copies a write waits for.
type Level uint8

// Levels of acknowledgement.
const (
	Async    Level = iota // the holder alone
	Majority              // W seats hold it
	All                   // every seat in force holds it
	Seats                 // Ticket.Need seats besides the holder hold it (WAIT)
)

// Ticket is a reply that waits for acknowledgements.
type Ticket struct {
	ID       uint64 // the caller's, given back
	Shard    shardmap.ShardID
	Version  shardmap.Version
	Level    Level
	Need     int           // for Seats
	Durable  bool          // +fsync: on the disks of so many, whatever the modes of their logs
	Deadline time.Duration // on Instant.Mono; 0 = until the lease goes
}

// Outcome is the end of a Ticket.
type Outcome uint8

// Outcomes of tickets.
const (
	Waiting Outcome = iota // only from Await: Out.Due will tell
	Acked                  // the level is reached; a fresh lease check is still due
	Pending                // the deadline passed: the write stays and may yet be acked
	Unknown                // the lease went: the write may survive or be lost
)

// Refused says whether the write may be reported as not done. No outcome of a
// ticket allows that: the write was applied before it waited, and a deadline
// takes nothing back (L4).
func (o Outcome) Refused() bool { return mutant.Is("M18") && o == Pending }

func (o Outcome) String() string {
	return [...]string{"waiting", "acked", "pending", "unknown"}[o]
}
