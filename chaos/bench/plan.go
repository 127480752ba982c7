package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Options say what is measured and how long.
type Options struct {
	Aegis  string // path of the aegis binary
	Redis  string // name or path of redis-server; not found: AegisKV is measured alone
	Only   string // measure only cells whose name contains this
	Rounds int
	Window time.Duration // measured time of one cell, system and round
	Warm   time.Duration // before it, not measured
	Conns  int           // connections
	Keys   int           // keys of each value size
	Rate   int           // requests a second; 0 = what Cell.Rate says, < 0 = as many as are answered
	Log    io.Writer     // progress
}

// DefaultOptions are those of `make bench`: under three minutes in all.
func DefaultOptions() Options {
	return Options{
		Redis: "redis-server", Rounds: 5, Window: 700 * time.Millisecond, Warm: 100 * time.Millisecond,
		Conns: 50, Keys: 50000, Log: io.Discard,
	}
}

// Cell is one kind of load.
type Cell struct {
	Nodes int    `json:"nodes"` // 1, or 3 with three copies of every key
	Op    string `json:"op"`    // GET or SET
	Depth int    `json:"pipeline"`
	Value int    `json:"valueBytes"`
}

// Name is the cell in one word.
func (c Cell) Name() string { return fmt.Sprintf("%d-%s-P%d-%dB", c.Nodes, c.Op, c.Depth, c.Value) }

// Rate is the load that is offered when none is asked for: about half of what one
// core of 2024 serves, so that both systems sustain it with room to spare.
func (c Cell) Rate() int {
	switch {
	case c.Nodes == 1 && c.Depth == 1:
		return 30000
	case c.Nodes == 1:
		return 150000
	case c.Depth == 1:
		return 10000
	}
	return 60000
}

// topologies are the numbers of nodes that are measured.
var topologies = []int{1, 3}

// cells lists what is measured on a number of nodes.
func (o Options) cells(nodes int) (cs []Cell) {
	for _, depth := range []int{1, 16} {
		for _, value := range []int{64, 1024} {
			for _, op := range []string{"GET", "SET"} {
				if c := (Cell{nodes, op, depth, value}); strings.Contains(c.Name(), o.Only) {
					cs = append(cs, c)
				}
			}
		}
	}
	return cs
}

// rate is the load offered to a cell.
func (o Options) rate(c Cell) int {
	switch {
	case o.Rate > 0:
		return o.Rate
	case o.Rate < 0:
		return 0
	}
	return c.Rate()
}
