package report

import (
	"fmt"
	"strings"
	"time"
)

// Headline is the verdict in a sentence.
func (r *Report) Headline() string {
	counts := map[Verdict]int{}
	for i := range r.Scenarios {
		counts[r.Scenarios[i].Verdict]++
	}
	all := len(r.Scenarios)
	switch {
	case all == 0:
		return "nothing was run"
	case counts[Pass] == 1 && all == 1:
		return r.Scenarios[0].Name + " passed"
	case counts[Pass] == all:
		return fmt.Sprintf("all %d scenarios passed", all)
	case all == 1:
		return r.Scenarios[0].Name + " did not pass"
	}
	var not []string
	for _, v := range []Verdict{Violated, Inconclusive, BudgetMissed} {
		if counts[v] > 0 {
			not = append(not, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	return fmt.Sprintf("%d of %d scenarios passed, %s", counts[Pass], all, strings.Join(not, ", "))
}

// Nutshell is what a reader wants to know next: the longest outage, and what was lost.
func (r *Report) Nutshell() string {
	var longest time.Duration
	var lost, majority, untold, acked int64
	excused := true
	where := ""
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if d := s.Unavailable().Max; d > longest {
			longest, where = d, s.Name
		}
		l := &s.Losses
		excused = excused && (l.LostMajority == 0 || s.Excused())
		lost, majority, untold, acked = lost+l.Lost+l.LostMajority, majority+l.LostMajority, untold+l.Unreported(), acked+l.Acked+l.AckedMajority
	}
	var said []string
	if where != "" {
		said = append(said, fmt.Sprintf("The longest time without service of a group that was hit: %s, in %s.", duration(longest), where))
	}
	switch {
	case acked == 0:
	case lost == 0:
		said = append(said, fmt.Sprintf("Of %s acknowledged writes none was lost.", thousands(acked)))
	case untold == 0:
		said = append(said, fmt.Sprintf("Of %s acknowledged writes %s were lost, all reported%s.", thousands(acked), thousands(lost), ofThem(majority, excused)))
	default:
		said = append(said, fmt.Sprintf("Of %s acknowledged writes %s were lost, %s of them without a word%s.", thousands(acked), thousands(lost), thousands(untold), ofThem(majority, excused)))
	}
	return strings.Join(said, " ")
}

// ofThem says how many majority writes were lost, and when that breaks no promise.
func ofThem(majority int64, excused bool) string {
	switch {
	case majority == 0:
		return ""
	case excused:
		return fmt.Sprintf("; %s of them were majority writes, where most copies were gone at once", thousands(majority))
	}
	return fmt.Sprintf("; %s of them were majority writes", thousands(majority))
}

// meanings are the properties in words, for readers who have no other page at hand; see
// package chaos.
var meanings = map[string]string{
	"P1": "at any time one node serves a group", "P2": "a reading shows the newest write that is not declared lost",
	"P3": "a client sees what it wrote", "P4": "a client never sees older values than it has seen", "P5": "a client's writes keep their order",
	"P6": "what was deleted stays deleted", "P7": "a key lives as long as it was told to", "P8": "what a majority held is not lost",
	"P9": "what is lost was written within the bound", "P10": "copies at rest are equal", "P11": "epochs and versions are used once",
	"P13": "every group is served again after a fault", "P14": "of a write that failed for certain nothing is seen",
	"P15": "what a log had when it was acknowledged is there afterwards", "P16": "nodes give back what they opened",
	"P17": "what was evicted does not come back", "P18": "no process takes more memory than its limit",
	"P19": "what a client answers from its cache is true within its bound", "P20": "and not older than what it was told",
	"P21": "a failover keeps the cache warm", "once": "an INCR or APPEND counts once", "token": "what a node says of a write comes true",
	"run": "the run comes to its end",
}

// meaning is what a property says, "" when it is not known.
func meaning(property string) string { return meanings[property] }
