package suite

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
)

// leakMax is how long after the last fault a node may take to give back what it used.
const leakMax = 10 * time.Second

// allowed is the most that a node may have in use in the end, by what the one that used most
// had before the first fault: leases have moved, and with them what they need.
func allowed(before int) int { return before + before/20 + 16 }

// used is the most that any node has in use.
func (r *run) used() (u cluster.Usage) {
	for _, n := range r.c.Nodes {
		if one, err := n.Usage(); err == nil {
			u.Descriptors, u.Goroutines = max(u.Descriptors, one.Descriptors), max(u.Goroutines, one.Goroutines)
		}
	}
	return u
}

// leaks looks whether nodes give back what they used, with the same clients at work (P16).
func (r *run) leaks() {
	var u cluster.Usage
	bar := cluster.Usage{Descriptors: allowed(r.usage.Descriptors), Goroutines: allowed(r.usage.Goroutines)}
	err := cluster.Await(leakMax, "", func() bool {
		u = r.used()
		return u.Descriptors <= bar.Descriptors && u.Goroutines <= bar.Goroutines || r.ctx.Err() != nil
	})
	c := report.Check{Property: "P16", Name: "nodes give descriptors and goroutines back", Judged: int64(len(r.c.Nodes)), Of: "nodes"}
	if err != nil && r.ctx.Err() == nil {
		c.Broken = 1
		r.broken = append(r.broken, fmt.Sprintf("P16: a node has %d descriptors and %d goroutines %v after the last fault, over %d and %d: before the first it had %d and %d",
			u.Descriptors, u.Goroutines, leakMax, bar.Descriptors, bar.Goroutines, r.usage.Descriptors, r.usage.Goroutines))
	}
	r.res.Checks = append(r.res.Checks, c)
}

// logCheck is how many logs were read for P15.
func logCheck(n int) report.Check {
	return report.Check{Property: "P15", Name: "logs hold what was acknowledged, and nodes read whole frames only", Judged: int64(n), Of: "logs"}
}
