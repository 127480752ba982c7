package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/chaos/suite"
)

// readOutlines takes a record of runs, or one report.
func readOutlines(path string) ([]report.Outline, error) {
	var head struct {
		Runs json.RawMessage `json:"runs"`
	}
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &head) == nil && head.Runs != nil {
		rec, err := report.ReadRecord(path)
		if err != nil {
			return nil, err
		}
		return rec.Runs, nil
	}
	r, err := readReport(path)
	if err != nil {
		return nil, err
	}
	return []report.Outline{r.Outline()}, nil
}

// seedFlag is what differs between runs of one kind.
var seedFlag = regexp.MustCompile(` --seed \d+`)

// alike are runs that differ in their seeds only.
type alike struct {
	suite string
	runs  []*report.Outline
}

// kindsOfRuns puts runs together that differ in their seeds only.
func kindsOfRuns(runs []report.Outline) (kinds []alike) {
	for i := range runs {
		r := &runs[i]
		name := seedFlag.ReplaceAllString(r.Suite, "") + " on " + serverOf(r)
		k := slices.IndexFunc(kinds, func(a alike) bool { return a.suite == name })
		if k < 0 {
			k, kinds = len(kinds), append(kinds, alike{suite: name})
		}
		kinds[k].runs = append(kinds[k].runs, r)
	}
	return kinds
}

func serverOf(r *report.Outline) string {
	if len(r.Scenarios) == 0 {
		return "-"
	}
	return r.Scenarios[0].Server
}

// once adds a text to a list that does not have it.
func once(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// tellRuns writes which runs the page is from.
func tellRuns(b *strings.Builder, runs []report.Outline) {
	if len(runs) == 0 {
		b.WriteString("\nNo report is recorded yet: the figures below are missing, not good.\n")
		return
	}
	b.WriteString("\n| run, and on what | runs | seeds | commits | when | scenarios | faults | operations | verdicts |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, k := range kindsOfRuns(runs) {
		var seeds, commits, days, verdicts []string
		count, scenarios, faults, ops := map[report.Verdict]int{}, 0, 0, int64(0)
		for _, r := range k.runs {
			seeds = once(seeds, fmt.Sprint(r.Seed))
			commits = once(commits, r.Commit[:min(12, len(r.Commit))])
			days = once(days, r.Begun.UTC().Format("2006-01-02"))
			count[r.Verdict]++
			scenarios += len(r.Scenarios)
			for _, s := range r.Scenarios {
				faults += s.Faults
				ops += s.OK + s.Refused + s.Unknown
			}
		}
		for _, v := range []report.Verdict{report.Pass, report.BudgetMissed, report.Inconclusive, report.Violated} {
			if count[v] > 0 {
				verdicts = append(verdicts, fmt.Sprintf("%d %s", count[v], v))
			}
		}
		if n := len(seeds); n > 3 {
			seeds = []string{seeds[0], "...", seeds[n-1]}
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %d | %d | %d | %s |\n", k.suite, len(k.runs), strings.Join(seeds, " "), strings.Join(commits, " "), strings.Join(days, " "), scenarios, faults, ops, strings.Join(verdicts, ", "))
	}
	b.WriteString("\n")
	for i := range runs {
		for _, s := range runs[i].Scenarios {
			if s.Verdict != report.Pass && ours(&runs[i]) {
				fmt.Fprintf(b, "- not passed: %s (`%s`), %s: %s\n", s.Name, s.Repro, s.Verdict, s.Reason)
			}
		}
	}
}

// alone says whether a run had the machine for itself, one scenario after the other: only
// then its times are times of the servers.
func alone(r *report.Outline) bool { return !strings.Contains(r.Suite, "--budgets=false") }

func shortly(d time.Duration) string { return d.Round(time.Millisecond).String() }

// tellUnavailability writes how long groups were away.
func tellUnavailability(b *strings.Builder, runs []report.Outline) {
	b.WriteString("\n## How long a group is unavailable\n\n")
	if !slices.ContainsFunc(runs, func(r report.Outline) bool { return alone(&r) }) {
		b.WriteString("No run is recorded yet that had the machine for itself.\n")
		return
	}
	b.WriteString("From runs that had the machine for themselves. The longest time between two successes of a probe of each group around each fault: a probe writes and reads in turn, 100 times a second, so 20 ms between two writes is no gap. A window in which a process that only sleeps woke up late by a fifth of the bar does not count.\n\n" +
		"| server | scenario | faults | groups x faults | writes p50 | p99 | max | reads p99 | bar for p99 | other groups, p99 | max | acknowledged | lost | not reported |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range runs {
		if !alone(&runs[i]) {
			continue
		}
		for _, s := range runs[i].Scenarios {
			for _, a := range s.Away {
				bar := "-"
				if a.Budget > 0 {
					bar = fmt.Sprintf("%s (%v), met", a.Bar, a.Budget)
					if a.Missed() {
						bar = fmt.Sprintf("%s (%v), **missed**", a.Bar, a.Budget)
					}
				}
				fmt.Fprintf(b, "| %s | %s | %d | %d | %s | %s | %s | %s | %s | %s | %s | %d | %d | %d |\n", s.Server, s.Name, a.Cycles, a.Write.Count,
					shortly(a.Write.P50), shortly(a.Write.P99), shortly(a.Write.Max), shortly(a.Read.P99), bar, shortly(a.Others.P99), shortly(a.Others.Max),
					s.Acked+s.AckedMajority, s.Lost+s.LostMajority, max(0, s.Lost+s.LostMajority-s.Reported))
			}
		}
	}
}

// toll is what faults of one kind cost of what was acknowledged.
type toll struct {
	name                                        string
	acked, lost, majority, lostMajority, untold int64
	writes                                      []int64
	spans                                       []time.Duration
}

// add takes what one scenario cost.
func (t *toll) add(s *report.Trait) {
	t.acked, t.majority = t.acked+s.Acked, t.majority+s.AckedMajority
	t.lost, t.lostMajority = t.lost+s.Lost, t.lostMajority+s.LostMajority
	t.untold += max(0, s.Lost+s.LostMajority-s.Reported)
	for _, w := range s.Windows {
		t.writes, t.spans = append(t.writes, w.Writes), append(t.spans, w.Span)
	}
}

// tellLosses writes what became of acknowledged writes in the runs of the suite.
func tellLosses(b *strings.Builder, runs []report.Outline) {
	few := toll{name: "never most copies of a shard at once"}
	many := toll{name: "most copies at once, or out of reach: " + strings.Join(deadly(), ", ")}
	for i := range runs {
		for k := range runs[i].Scenarios {
			s := &runs[i].Scenarios[k]
			sc, known := suite.ByName(s.Name)
			switch {
			case !known || !ours(&runs[i]):
			case sc.Deadly:
				many.add(s)
			default:
				few.add(s)
			}
		}
	}
	b.WriteString("\n## What is lost of what was acknowledged\n\nOver all runs of the suite above. A loss is that of one shard by one takeover, its time that from the first to the last of its writes.\n\n" +
		"| faults take | async writes acknowledged | lost | majority and all | lost | not reported | losses | writes p50 | p99 | max | time p50 | p99 | max |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, t := range []toll{few, many} {
		var all []time.Duration // a distribution is one of durations: a write counts as one
		for _, n := range t.writes {
			all = append(all, time.Duration(n))
		}
		n, d := report.Distribute(all), report.Distribute(t.spans)
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n", t.name, t.acked, t.lost, t.majority, t.lostMajority, t.untold, len(t.writes),
			int64(n.P50), int64(n.P99), int64(n.Max), shortly(d.P50), shortly(d.P99), shortly(d.Max))
	}
}

// deadly are the scenarios that take most copies of a shard at once.
func deadly() (names []string) {
	for _, s := range suite.Scenarios() {
		if s.Deadly {
			names = append(names, s.Name)
		}
	}
	return names
}
