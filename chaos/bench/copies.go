package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Copies is what a write costs the process that leads its shard, and those that follow.
type Copies struct {
	Depth     int     `json:"pipeline"`
	Offered   int     `json:"offered"` // writes a second
	Served    float64 `json:"served"`
	Leads     float64 `json:"leaderMicroseconds"`   // CPU of the leaseholder's process by write
	Follows   float64 `json:"followerMicroseconds"` // of a follower's, the mean of two
	Ratio     float64 `json:"ratio"`
	Errors    int     `json:"errors"`
	FirstWord string  `json:"firstError,omitempty"`
}

// copiesMost is the ratio that AegisKV promises at most, at any pipeline.
const copiesMost = 0.7

// copiesLoads are the pipelines of writes and their rates. All servers share a core on a
// machine of two.
var copiesLoads = []Cell{
	{Nodes: 3, Op: "SET", Depth: 1, Value: 100, Rate: 10000},
	{Nodes: 3, Op: "SET", Depth: 16, Value: 100, Rate: 60000},
	{Nodes: 3, Op: "SET", Depth: 64, Value: 100, Rate: 100000},
}

// copiesCells lists those of a run on a number of nodes.
func (o Options) copiesCells(nodes int) (cs []Cell) {
	for _, c := range copiesLoads {
		if c.Nodes == nodes && strings.Contains("copies-"+c.Name(), o.Only) {
			cs = append(cs, c)
		}
	}
	return cs
}

// copiesWindows is how many windows of other cells are one of these: the system counts CPU
// time in steps of 10 ms.
const copiesWindows = 4

// copiesOf puts a window together: the CPU time of each process, the leaseholder's first.
func copiesOf(c Cell, offered int, s sample, cpu []time.Duration) Copies {
	us := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(max(1, s.ops)) }
	f := Copies{Depth: c.Depth, Offered: offered, Served: float64(s.ops) / s.took.Seconds(), Errors: s.errors, FirstWord: s.first, Leads: us(cpu[0])}
	for _, d := range cpu[1:] {
		f.Follows += us(d) / float64(len(cpu)-1)
	}
	if f.Leads > 0 {
		f.Ratio = f.Follows / f.Leads
	}
	return f
}

// copiesText is the table of a run.
func copiesText(w io.Writer, keys int, rows []Copies) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "CPU by SET of %d B in the process that leads its shard and in one that follows, three nodes, %d keys, idle work included:\n", valueSizes[0], keys)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "-P\toffered/s\tserved/s\tleader us\tfollower us\tratio\tmost\t")
	for _, c := range rows {
		fmt.Fprintf(t, "%d\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.Depth, c.Offered, c.Served, c.Leads, c.Follows, c.Ratio, copiesMost)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range rows {
		if c.Errors > 0 {
			fmt.Fprintf(w, "pipeline %d: %d error replies, the first: %s\n", c.Depth, c.Errors, c.FirstWord)
		}
	}
	return nil
}
