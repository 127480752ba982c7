package report

import (
	"cmp"
	"slices"
)

// othersKept is how many gaps of groups that were not hit a summary keeps for each
// fault: the longest, of which only the longest of all is ever quoted.
const othersKept = 3

// Summary is the report without what only its pictures need: small enough to be kept
// beside the sources. Verdicts, counts, checks, losses and the gaps of affected groups
// stay.
func (r *Report) Summary() *Report {
	small := *r
	small.Scenarios = slices.Clone(r.Scenarios)
	for i := range small.Scenarios {
		s := &small.Scenarios[i]
		s.Latency.Points, s.Throughput, s.Nodes, s.Groups = nil, Throughput{}, nil, Matrix{}
		s.Unavailability = slices.Clone(s.Unavailability)
		for k := range s.Unavailability {
			u := &s.Unavailability[k]
			u.Gaps = slices.Clone(u.Gaps)
			slices.SortStableFunc(u.Gaps, func(a, b Gap) int { return cmp.Compare(b.Longest(), a.Longest()) })
			others := 0
			u.Gaps = slices.DeleteFunc(u.Gaps, func(g Gap) bool {
				if !g.Affected {
					others++
				}
				return !g.Affected && others > othersKept
			})
		}
	}
	return &small
}
