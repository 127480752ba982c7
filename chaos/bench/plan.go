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
	Keys   int           // keys of the first value size on one node; the others have keysMax at most
	Rate   int           // requests a second; 0 = what the cell says, < 0 = as many as are answered
	Log    io.Writer     // progress
}

// DefaultOptions are those of `make bench`: under three minutes in all.
func DefaultOptions() Options {
	return Options{
		Redis: "redis-server", Rounds: 5, Window: 700 * time.Millisecond, Warm: 100 * time.Millisecond,
		Conns: 50, Keys: 1000000, Log: io.Discard,
	}
}

// Cell is one kind of load.
type Cell struct {
	Nodes int    `json:"nodes"` // 1, or 3 with three copies of every key
	Op    string `json:"op"`    // GET or SET
	Depth int    `json:"pipeline"`
	Value int    `json:"valueBytes"`
	// Rate is the load that is offered when none is asked for, in requests a second:
	// less than half of what one core of 2024 serves, so that all systems sustain it.
	Rate int `json:"rate"`
	// Floor is the ratio to redis-server that AegisKV promises, 0 = none.
	Floor float64 `json:"floor,omitempty"`
}

// Name is the cell in one word.
func (c Cell) Name() string {
	return fmt.Sprintf("%d-%s-P%d-%dB-%d", c.Nodes, c.Op, c.Depth, c.Value, c.Rate)
}

// timed says that the cell is there for its latency, beside that of an echo server.
func (c Cell) timed() bool { return c.Nodes > 1 && c.Depth == 1 }

// valueSizes are those of the cells.
var valueSizes = []int{100, 1024}

// keysMax bounds the keys of long values, and of clusters, whose filling would take
// longer than the measuring.
const keysMax = 50000

// keys is how many keys of a value size a number of nodes is filled with.
func (o Options) keys(nodes, size int) int {
	if nodes == 1 && size == valueSizes[0] {
		return o.Keys
	}
	return min(o.Keys, keysMax)
}

// keysOf is how many of each value size.
func (o Options) keysOf(nodes int) (keys []int) {
	for _, size := range valueSizes {
		keys = append(keys, o.keys(nodes, size))
	}
	return keys
}

// topologies are the numbers of nodes that are measured.
var topologies = []int{1, 3}

// loads are all cells, once for GET and once for SET.
var loads = []Cell{
	{Nodes: 1, Depth: 1, Value: 100, Rate: 30000, Floor: 0.8},
	{Nodes: 1, Depth: 16, Value: 100, Rate: 150000, Floor: 1},
	{Nodes: 1, Depth: 64, Value: 100, Rate: 200000, Floor: 1.3},
	{Nodes: 1, Depth: 16, Value: 1024, Rate: 100000},
	{Nodes: 3, Depth: 1, Value: 100, Rate: 2000},
	{Nodes: 3, Depth: 1, Value: 100, Rate: 10000},
	{Nodes: 3, Depth: 16, Value: 100, Rate: 60000},
}

// cells lists what is measured on a number of nodes.
func (o Options) cells(nodes int) (cs []Cell) {
	for _, c := range loads {
		for _, c.Op = range []string{"GET", "SET"} {
			if c.Nodes == nodes && strings.Contains(c.Name(), o.Only) {
				cs = append(cs, c)
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
	return c.Rate
}
