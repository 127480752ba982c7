package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// awayLeast is from where on a gap is called an outage: shorter ones are between two
// probes of a busy machine.
const awayLeast = 100 * time.Millisecond

// Outage is what one cycle of a fault did: which groups were away, when, and why.
type Outage struct {
	Why      string
	At       time.Duration
	Groups   []string
	Shards   []string
	Shortest time.Duration
	Worst    Gap
}

// Outages answers what a reader asks first: one row for each fault that took groups
// away, by time.
func (s *Scenario) Outages() (all []Outage) {
	for i := range s.Unavailability {
		u := &s.Unavailability[i]
		cycles := map[int][]Gap{}
		for _, g := range u.Gaps {
			if g.Longest() >= awayLeast {
				cycles[g.Cycle] = append(cycles[g.Cycle], g)
			}
		}
		for _, gaps := range cycles {
			all = append(all, s.outage(gaps))
		}
	}
	slices.SortFunc(all, func(a, b Outage) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Why, b.Why)) })
	return all
}

func (s *Scenario) outage(gaps []Gap) Outage {
	o := Outage{At: gaps[0].At, Shortest: gaps[0].Longest()}
	end := time.Duration(0)
	for _, g := range gaps {
		o.At, end = min(o.At, g.At), max(end, g.End())
		o.Shortest = min(o.Shortest, g.Longest())
		if g.Longest() > o.Worst.Longest() {
			o.Worst = g
		}
		o.Groups = append(o.Groups, g.Group)
		if shards := s.ShardsOf(g.Group); shards != "" {
			o.Shards = append(o.Shards, shards)
		}
	}
	o.Why = s.Why(o.At, end)
	return o
}

// spans sums names up that end in a number, or in one and another: "group 2 to 5, 8".
// Others are listed as they are.
func spans(list []string) string {
	word, all := "", make([][2]int, 0, len(list))
	for _, name := range list {
		n := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz ")
		var from, to int
		if k, _ := fmt.Sscanf(n, "%d to %d", &from, &to); k == 1 {
			to = from
		} else if k == 0 {
			return strings.Join(list, ", ")
		}
		if to < from || fmt.Sprint(from) != n && fmt.Sprintf("%d to %d", from, to) != n {
			return strings.Join(list, ", ")
		}
		word, all = strings.TrimSuffix(name, n), append(all, [2]int{from, to})
	}
	slices.SortFunc(all, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	var out []string
	for i := 0; i < len(all); {
		from, to := all[i][0], all[i][1]
		for i++; i < len(all) && all[i][0] <= to+1; i++ {
			to = max(to, all[i][1])
		}
		switch {
		case to == from:
			out = append(out, fmt.Sprint(from))
		default:
			out = append(out, fmt.Sprintf("%d to %d", from, to))
		}
	}
	return word + strings.Join(out, ", ")
}

// ShardsOf names the shards that a group serves, "" when the report does not say.
func (s *Scenario) ShardsOf(group string) string {
	for i := range s.Groups.Rows {
		if s.Groups.Rows[i].Name == group {
			return s.Groups.Rows[i].Shards
		}
	}
	return ""
}

// afterwards is for how long a fault that is over is still named: leases come back and
// copies are filled.
const afterwards = 5 * time.Second

// Why says what was in force in a time: faults, or that there was none and which one was
// over; and what the machine itself did.
func (s *Scenario) Why(from, to time.Duration) string {
	why, least := s.faultsIn(from, to), awayLeast
	if len(why) == 0 {
		why, least = append(why, s.noFault(from)), 0
	}
	if stood := s.stood(from, to); stood > least {
		why = append(why, "the machine itself stood still for "+duration(stood))
	}
	return strings.Join(why, ", ")
}

func (s *Scenario) noFault(at time.Duration) string {
	var last *Fault
	for i := range s.Faults {
		if f := &s.Faults[i]; f.End <= at && (last == nil || f.End > last.End) {
			last = f
		}
	}
	if last == nil || at-last.End > afterwards {
		return "no fault in force"
	}
	return fmt.Sprintf("no fault in force, %s after %s of %s", duration(at-last.End), last.Kind, last.Target)
}

// stood is the longest stall of the machine in a time.
func (s *Scenario) stood(from, to time.Duration) (longest time.Duration) {
	for _, l := range s.Witness.Late {
		if l.At <= to && l.At+l.By >= from {
			longest = max(longest, l.By)
		}
	}
	return longest
}

// Parts says whether the parts of any gap are known.
func (u *Unavailability) Parts() bool {
	return slices.ContainsFunc(u.Gaps, func(g Gap) bool { return g.From != "" || g.To != "" || g.WaitOut+g.Open+g.Reroute > 0 })
}

// Excused says whether majority writes were lost and nothing was broken by that: most
// copies were gone at once.
func (s *Scenario) Excused() bool { return s.Losses.Deadly || s.Verdict != Violated }

// Found is from the next lease to the first success: opening, and the way there.
func (g Gap) Found() time.Duration { return g.Open + g.Reroute }
