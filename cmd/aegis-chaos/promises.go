package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	{"a majority destroyed for good", []string{"recover"}, "`make accept ACCEPT=LostMajority`: real nodes whose disks are destroyed; no scenario of the suite does it"},
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
	var runs []report.Outline
	for _, p := range paths {
		list, err := readOutlines(p)
		if err != nil {
			return err
		}
		runs = append(runs, list...)
	}
	readme, err := os.ReadFile(filepath.Join(o.sources, "README.md"))
	if err != nil {
		return err
	}
	page, err := promisesPage(string(readme), runs)
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
func promisesPage(readme string, runs []report.Outline) (string, error) {
	rows := readmePromises(readme)
	if len(rows) != len(promises) {
		return "", fmt.Errorf("README promises %d things, the table of cmd/aegis-chaos has %d", len(rows), len(promises))
	}
	var b strings.Builder
	b.WriteString("# What we promise and how it is checked\n\nWritten by `make promises` from the reports of runs; not by hand. The promises are README's. " +
		"A property has a name (P1 to P21, [chaos/doc.go](../chaos/doc.go)); the simulator (`make sim`) and the suite on real processes (`aegis-chaos run`) share its checker.\n")
	tellRuns(&b, runs)
	for i, row := range rows {
		if p := promises[i]; p.name != row[0] {
			return "", fmt.Errorf("README promises %q where the table of cmd/aegis-chaos has %q", row[0], p.name)
		}
		tellPromise(&b, promises[i], strings.ReplaceAll(row[1], "](docs/", "]("), runs)
	}
	tellUnavailability(&b, runs)
	tellLosses(&b, runs)
	return b.String(), nil
}

// namesMost is how many scenarios are named for one promise.
const namesMost = 8

// tellPromise writes the section of one promise.
func tellPromise(b *strings.Builder, p promise, words string, runs []report.Outline) {
	fmt.Fprintf(b, "\n## %s\n\n> %s\n\n", p.name, words)
	if len(p.properties) > 0 {
		fmt.Fprintf(b, "- properties: %s\n", strings.Join(p.properties, ", "))
	}
	checks, names := summed(p.properties, runs)
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
func summed(properties []string, runs []report.Outline) (checks []report.Check, names []string) {
	for i := range runs {
		r := &runs[i]
		if !ours(r) {
			continue
		}
		var some []report.Check
		for _, c := range r.Checks {
			if slices.ContainsFunc(properties, func(id string) bool { return covers(c.Property, id) }) {
				some = append(some, c)
			}
		}
		checks = report.AddChecks(checks, some)
		for _, s := range r.Scenarios {
			if len(some) > 0 && !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return checks, names
}

// ours says whether a run was one of AegisKV.
func ours(r *report.Outline) bool {
	return len(r.Scenarios) > 0 && strings.HasPrefix(r.Scenarios[0].Server, "aegis")
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
