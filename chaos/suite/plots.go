package suite

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/report"
)

// leases are how many leases a node held, from each moment on.
func leases(all []chaos.Serving, node int, base time.Duration) (levels []report.Level) {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, s := range all {
		if s.Node == node {
			changes = append(changes, change{max(0, s.From-base), 1}, change{max(0, s.Until-base), -1})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for _, c := range changes {
		n += c.by
		if k := len(levels) - 1; k >= 0 && levels[k].At == c.at {
			levels[k].N = n
		} else {
			levels = append(levels, report.Level{At: c.at, N: n})
		}
	}
	return levels
}

// matrix is when each group answered its probe.
func (r *run) matrix() {
	r.res.Groups.Step = step
	end := int(r.l.now()/step) + 1
	for i, p := range r.p.groups {
		cells := make([]byte, end)
		for c := range cells {
			cells[c] = p.cell(time.Duration(c)*step, time.Duration(c+1)*step)
		}
		r.res.Groups.Rows = append(r.res.Groups.Rows, report.Row{Name: fmt.Sprint("group ", i+1), Cells: string(cells)})
	}
}
