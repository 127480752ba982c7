package suite

import (
	"cmp"
	"slices"
)

// chooser takes the nodes that a fault strikes.
type chooser func(r *run) []int

// byLeases are all nodes, those that serve most groups first.
func (r *run) byLeases() []int {
	serves := make([]int, len(r.c.Nodes))
	all := make([]int, len(r.c.Nodes))
	for i := range all {
		all[i] = i
	}
	if holders, err := r.c.Holders(); err == nil {
		for _, n := range holders {
			if n >= 0 {
				serves[n]++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(serves[b], serves[a]) })
	return all
}

func busiest(r *run) []int  { return r.byLeases()[:1] }
func everyone(r *run) []int { return r.byLeases() }

func idlest(r *run) []int {
	all := r.byLeases()
	return all[len(all)-1:]
}

// most are a majority, few a minority.
func most(r *run) []int { return r.byLeases()[:len(r.c.Nodes)/2+1] }
func few(r *run) []int  { return r.byLeases()[:len(r.c.Nodes)/2] }

// others are the nodes that are not among some.
func (r *run) others(some []int) (list []int) {
	for i := range r.c.Nodes {
		if !slices.Contains(some, i) {
			list = append(list, i)
		}
	}
	return list
}
