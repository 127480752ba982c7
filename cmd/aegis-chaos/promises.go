package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// promise is a row of README's table of guarantees, and who looks whether it is kept.
type promise struct {
	name       string   // the first cell of the row
	properties []string // as checkers and seeded bugs name them
	beside     string   // what looks at it outside of the suite
}

// promises are the rows in README's order; a test wants all of them and no other.
var promises = []promise{
	{"one writer", []string{"P1", "P11"}, "the explicit schedules of multiraft (`go test ./multiraft -run Schedules`)"},
	{"`async` writes (default)", []string{"P9", "loss", "token"}, "`make accept ACCEPT=Kills` and `ACCEPT=Lost`: real nodes, lost writes made on purpose"},
	{"`majority` writes", []string{"P8"}, "`make accept ACCEPT=Kills`"},
	{"`all` writes", []string{"P8"}, "`go test ./shardgroup ./internal/node`; one client in eight of the suite writes so, and is judged as those with `majority` are"},
	{"reads", []string{"P2", "P3", "P4", "P5", "P6", "P7", "P19", "P20"}, "porcupine, as a second opinion on some keys (`make sim`)"},
	{"unknown outcome", []string{"P14", "once"}, "real clients in every phase (`make clients`)"},
	{"memory", []string{"P16", "P17", "P18", "P21"}, "`make accept ACCEPT=Churn`, `make bench-memory`, `make hitratio`"},
	{"restart", []string{"P15", "P10"}, "`make accept ACCEPT=Durability`"},
	{"a majority destroyed for good", nil, "`make accept ACCEPT=LostMajority`: real nodes whose disks are destroyed; no scenario of the suite does it"},
	{"backup", nil, "`go test ./cmd/aegis ./shardgroup -run Backup`"},
}

// promisesOptions are the flags of `aegis-chaos promises`.
type promisesOptions struct {
	sources string
}

// newPromises is `aegis-chaos promises`: the page that says how each promise is
// checked, with the figures of the reports it is given.
func newPromises() *cobra.Command {
	o := promisesOptions{}
	cmd := &cobra.Command{
		Use:   "promises REPORT...",
		Short: "Write docs/promises.md: every promise of README, who checks it, and the figures of some reports",
		RunE:  func(_ *cobra.Command, args []string) error { return o.run(args) },
	}
	cmd.Flags().StringVar(&o.sources, "sources", ".", "the repository")
	return cmd
}

func (o *promisesOptions) run(paths []string) error {
	var reports []*report.Report
	for _, p := range paths {
		r, err := readReport(p)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	readme, err := os.ReadFile(filepath.Join(o.sources, "README.md"))
	if err != nil {
		return err
	}
	page, err := promisesPage(string(readme), reports)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.sources, "docs", "promises.md"), []byte(page), 0o644)
}

// readmePromises are the rows of README's table, name and words.
func readmePromises(readme string) (rows [][2]string) {
	_, part, _ := strings.Cut(readme, "## What is promised")
	part, _, _ = strings.Cut(part, "\n## ")
	for line := range strings.Lines(part) {
		cells := strings.SplitN(strings.Trim(strings.TrimSpace(line), "|"), "|", 2)
		if len(cells) == 2 && strings.HasPrefix(line, "|") {
			if name := strings.TrimSpace(cells[0]); name != "" && !strings.HasPrefix(name, "---") {
				rows = append(rows, [2]string{name, strings.TrimSpace(cells[1])})
			}
		}
	}
	return rows
}

// promisesPage writes the page. README's rows and the table here must be the same.
func promisesPage(readme string, reports []*report.Report) (string, error) {
	rows := readmePromises(readme)
	if len(rows) != len(promises) {
		return "", fmt.Errorf("README promises %d things, the table of cmd/aegis-chaos has %d", len(rows), len(promises))
	}
	var b strings.Builder
	b.WriteString("# What we promise and how it is checked\n\nWritten by `make promises` from the reports of runs; not by hand. The promises are README's. " +
		"A property has a name (P1 to P21, [chaos/doc.go](../chaos/doc.go)); the simulator (`make sim`) and the suite on real processes (`aegis-chaos run`) share its checker.\n")
	tellRuns(&b, reports)
	for i, row := range rows {
		if p := promises[i]; p.name != row[0] {
			return "", fmt.Errorf("README promises %q where the table of cmd/aegis-chaos has %q", row[0], p.name)
		}
		tellPromise(&b, promises[i], strings.ReplaceAll(row[1], "](docs/", "]("), reports)
	}
	tellUnavailability(&b, reports)
	return b.String(), nil
}

func tellRuns(b *strings.Builder, reports []*report.Report) {
	if len(reports) == 0 {
		b.WriteString("\nNo report is recorded yet: the figures below are missing, not good.\n")
		return
	}
	b.WriteString("\n| run | server | seed | commit | when | scenarios | verdict |\n|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		server := "-"
		if len(r.Scenarios) > 0 {
			server = strings.TrimSpace(r.Scenarios[0].Cluster.Server + " " + r.Scenarios[0].Cluster.Note)
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %d | %s |\n", r.Suite, server, r.Seed, r.Commit, r.Begun.UTC().Format("2006-01-02"), len(r.Scenarios), r.Verdict())
	}
	b.WriteString("\n")
	for s := range ours(reports) {
		if s.Verdict != report.Pass {
			fmt.Fprintf(b, "- not passed: %s (`%s`), %s: %s\n", s.Name, s.Repro, s.Verdict, s.Reason)
		}
	}
}

// namesMost is how many scenarios are named for one promise.
const namesMost = 8

// tellPromise writes the section of one promise.
func tellPromise(b *strings.Builder, p promise, words string, reports []*report.Report) {
	fmt.Fprintf(b, "\n## %s\n\n> %s\n\n", p.name, words)
	if len(p.properties) > 0 {
		fmt.Fprintf(b, "- properties: %s\n", strings.Join(p.properties, ", "))
	}
	checks, names := summed(p.properties, reports)
	for _, c := range checks {
		fmt.Fprintf(b, "- %s, %s: looked at %d %s, broken %d, undecided %d\n", c.Property, c.Name, c.Judged, c.Of, c.Broken, c.Undecided)
	}
	if len(names) > namesMost {
		fmt.Fprintf(b, "- in %d scenarios (`aegis-chaos list`), %s among them\n", len(names), strings.Join(names[:namesMost], ", "))
	} else if len(names) > 0 {
		fmt.Fprintf(b, "- in these scenarios: %s\n", strings.Join(names, ", "))
	} else {
		b.WriteString("- no recorded run of the suite has a figure for it\n")
	}
	if bugs := bugsOf(p.properties); len(bugs) > 0 {
		fmt.Fprintf(b, "- seeded bugs that must be noticed (`make selftest`, `aegis-chaos mutants`): %s\n", strings.Join(bugs, ", "))
	}
	fmt.Fprintf(b, "- beside: %s\n", p.beside)
}

// summed adds up what the checkers of some properties looked at, over all runs on
// AegisKV, and names the scenarios.
func summed(properties []string, reports []*report.Report) (checks []report.Check, names []string) {
	for s := range ours(reports) {
		for _, c := range s.Checks {
			if !slices.ContainsFunc(properties, func(id string) bool { return covers(c.Property, id) }) {
				continue
			}
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
			i := slices.IndexFunc(checks, func(o report.Check) bool { return o.Property == c.Property && o.Name == c.Name })
			if i < 0 {
				checks = append(checks, c)
				continue
			}
			checks[i].Judged += c.Judged
			checks[i].Broken += c.Broken
			checks[i].Undecided += c.Undecided
		}
	}
	return checks, names
}

// ours are the scenarios that ran on AegisKV.
func ours(reports []*report.Report) func(func(*report.Scenario) bool) {
	return func(yield func(*report.Scenario) bool) {
		for _, r := range reports {
			for i := range r.Scenarios {
				if s := &r.Scenarios[i]; strings.HasPrefix(s.Cluster.Server, "aegis") && !yield(s) {
					return
				}
			}
		}
	}
}

// covers says whether a checker's properties, like "P2-P9, P11, once", hold one.
func covers(list, id string) bool {
	for _, part := range strings.Split(list, ",") {
		part = strings.TrimSpace(part)
		from, to, isRange := strings.Cut(part, "-")
		if part == id || isRange && number(from) > 0 && number(from) <= number(id) && number(id) <= number(to) {
			return true
		}
	}
	return false
}

// number is that of a property like P12, 0 for others.
func number(id string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "P"))
	if err != nil || !strings.HasPrefix(id, "P") {
		return 0
	}
	return n
}

// bugsOf are the seeded bugs of some properties.
func bugsOf(properties []string) (names []string) {
	for _, b := range mutant.Bugs {
		id, _, _ := strings.Cut(b.Property, ":")
		if b.Later == "" && slices.Contains(properties, id) {
			names = append(names, b.Name)
		}
	}
	return names
}

// tellUnavailability writes how long groups were away, and what was lost.
func tellUnavailability(b *strings.Builder, reports []*report.Report) {
	b.WriteString("\n## How long a group is unavailable, and what is lost\n\n")
	if len(reports) == 0 {
		b.WriteString("No report is recorded yet.\n")
		return
	}
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	b.WriteString("| server | scenario | fault | groups x cycles | writes p50 | p99 | max | other groups, max | acknowledged | lost | not reported |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range reports {
		for i := range r.Scenarios {
			s := &r.Scenarios[i]
			for k := range s.Unavailability {
				u := &s.Unavailability[k]
				w := u.Write()
				fmt.Fprintf(b, "| %s %s | %s | %s | %d | %s | %s | %s | %s | %d | %d | %d |\n", s.Cluster.Server, s.Cluster.Note, s.Name, u.Fault, w.Count, ms(w.P50), ms(w.P99), ms(w.Max), ms(u.Others().Max),
					s.Losses.Acked+s.Losses.AckedMajority, s.Losses.Lost+s.Losses.LostMajority, s.Losses.Unreported())
			}
		}
	}
}
