package suite

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
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

// matrix is when each group answered its probe. The logs say whether anybody held the
// lease when it did not.
func (r *run) matrix(story *cluster.Story) {
	r.res.Groups.Step = step
	end := int(r.res.Quiet/step) + 1
	for i, p := range r.p.groups {
		held := heldBy(story.Servings, shardmap.GroupID(i+1), r.l.base)
		cells := make([]byte, end)
		for c := range cells {
			cells[c] = p.cell(time.Duration(c)*step, time.Duration(c+1)*step, held)
		}
		r.res.Groups.Rows = append(r.res.Groups.Rows, report.Row{Name: fmt.Sprint("group ", i+1), Shards: shardsOf(r.layout, i+1), Cells: string(cells)})
	}
}

// shardsOf names the shards that a group serves.
func shardsOf(l shardmap.Layout, group int) string {
	first := int(l.FirstShard(shardmap.GroupID(group)))
	if n := l.ShardsPerGroup(); n > 1 {
		return fmt.Sprintf("%d to %d", first, first+n-1)
	}
	return fmt.Sprint(first)
}

// tenures are the times in which nodes held the lease of one group, by their beginning.
type tenures []chaos.Serving

// heldBy picks one group's, on the clock of the run.
func heldBy(all []chaos.Serving, group shardmap.GroupID, base time.Duration) (list tenures) {
	for _, s := range all {
		if s.Group == group {
			s.From, s.Until = s.From-base, s.Until-base
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b chaos.Serving) int { return cmp.Compare(a.From, b.From) })
	return list
}

// at is who held the lease at a moment.
func (t tenures) at(moment time.Duration) (s chaos.Serving, ok bool) {
	for _, s := range t {
		if s.From <= moment && moment < s.Until {
			return s, true
		}
	}
	return s, false
}

// explain says of a gap who served the group before and after it, and how much of it
// was waiting for the next lease.
func (t tenures) explain(g *report.Gap, name func(node int) string) {
	before, had := t.at(g.At)
	after, has := t.at(g.End())
	if had {
		g.From = name(before.Node)
	}
	if !has {
		return
	}
	g.To = name(after.Node)
	if after.From > g.At {
		g.WaitOut, g.Reroute = after.From-g.At, g.End()-after.From
	}
}

// explain says it of all gaps.
func (r *run) explain(story *cluster.Story) {
	held := make([]tenures, r.layout.Groups)
	for i := range held {
		held[i] = heldBy(story.Servings, shardmap.GroupID(i+1), r.l.base)
	}
	for i := range r.gaps.Gaps {
		g := &r.gaps.Gaps[i]
		var group int
		if _, err := fmt.Sscanf(g.Group, "group %d", &group); err == nil {
			held[group-1].explain(g, func(node int) string { return r.c.Nodes[node].Name })
		}
	}
}
