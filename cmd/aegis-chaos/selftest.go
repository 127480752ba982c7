package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// selftestOptions are the flags of `aegis-chaos selftest`.
type selftestOptions struct {
	sources string
	out     string
	jobs    int
}

// newSelftest is `aegis-chaos selftest`: the suite is shown to fail where it must.
func newSelftest() *cobra.Command {
	o := selftestOptions{}
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Seed the bugs M01 to M24: the named property fires, the report says so, the replay fails again, without the bug all is quiet",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !mutant.Enabled {
				return errNoMutants
			}
			return o.run()
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.sources, "sources", ".", "the repository: the clean build and tests of rooms are made from it")
	f.StringVar(&o.out, "out", "chaos-selftest", "directory of the reports, one for each bug")
	f.IntVarP(&o.jobs, "jobs", "j", 2, "processes; one runs one bug")
	return cmd
}

// proof is what a bug's run, its replay, its report and the clean build showed.
type proof struct {
	killed
	Replayed bool
	Reported error // nil: the report is there, names the property and how to repeat it
	Clean    string
}

// holds says whether everything that is demanded was seen.
func (p *proof) holds() bool {
	return p.Verdict == caught && p.Replayed && p.Reported == nil && p.Clean == ""
}

func (o *selftestOptions) run() error {
	begun := time.Now()
	h, err := newHunt(o.sources)
	if err != nil {
		return err
	}
	defer h.close()
	bugs := notedBugs()
	if err := h.build(bugs, "-tags", "mutants"); err != nil {
		return err
	}
	if err := h.buildNode(o.out, "mutants"); err != nil {
		return err
	}
	pure, err := h.withoutBugs(bugs)
	if err != nil {
		return err
	}
	defer pure.close()
	proofs := make([]proof, len(bugs))
	spread(o.jobs, len(bugs), func(i int) { proofs[i] = o.prove(h, pure, bugs[i]) })
	return tellProofs(proofs, time.Since(begun))
}

// notedBugs are M01 to M24 of the table.
func notedBugs() (bugs []mutant.Bug) {
	for _, b := range mutant.Bugs {
		if len(b.Name) == 3 && b.Name[0] == 'M' {
			bugs = append(bugs, b)
		}
	}
	return bugs
}

// withoutBugs is a hunt with a binary, and tests of rooms, in which no bug can be seeded.
func (h *hunt) withoutBugs(bugs []mutant.Bug) (*hunt, error) {
	pure, err := newHunt(h.sources)
	if err != nil {
		return nil, err
	}
	pure.self = filepath.Join(pure.dir, "aegis-chaos")
	cmd := exec.Command("go", "build", "-o", pure.self, "./cmd/aegis-chaos")
	cmd.Dir = h.sources
	if out, err := cmd.CombinedOutput(); err != nil {
		pure.close()
		return nil, fmt.Errorf("the clean build failed in %s (--sources): %w\n%s", h.sources, err, out)
	}
	if err := pure.buildNode(filepath.Join(pure.dir, "runs"), "chaos"); err != nil {
		return nil, err
	}
	return pure, pure.build(bugs)
}

// prove shows one bug.
func (o *selftestOptions) prove(h, pure *hunt, b mutant.Bug) proof {
	p := proof{killed: h.try(b)}
	if p.Verdict != caught {
		return p
	}
	p.Replayed = h.replays(b)
	if out, err := pure.play(b, ""); err != nil {
		p.Clean = tail(out)
	}
	if h.runs(&b) { // a run writes its own report
		p.Reported = readAgain(filepath.Join(h.reports, b.Name), b.Name, b.Property)
	} else {
		p.Reported = o.report(b, &p.killed)
	}
	return p
}

// replaysMost is how often a run of real processes is played again: what it needs to find,
// a kill in the middle of a write, is not in the seed alone, as it is in a simulation.
const replaysMost = 3

// replays says whether a bug shows again when what showed it is played again.
func (h *hunt) replays(b mutant.Bug) bool {
	most := 1
	if h.runs(&b) {
		most = replaysMost
	}
	for range most {
		if out, err := h.play(b, b.Name); err != nil && excerpt(out, b.Sign()) != "" {
			return true
		}
	}
	return false
}

// report writes what was seen as a run's report, and reads it again as somebody would
// who knows nothing else.
func (o *selftestOptions) report(b mutant.Bug, k *killed) error {
	dir := filepath.Join(o.out, b.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	property, _, _ := strings.Cut(b.Property, ":")
	s := report.Scenario{
		Name: b.Name, About: "A seeded bug: " + b.Breaks + ".", Verdict: report.Violated, Reason: k.Saw, Repro: repro(b), Took: time.Duration(k.Seconds * float64(time.Second)),
		Violations: []report.Violation{{Property: property, What: k.Saw}}, Checks: []report.Check{{Property: property, Name: k.By, Judged: 1, Of: "schedule", Broken: 1}},
	}
	r := report.Report{Schema: report.Schema, Suite: "selftest", Begun: time.Now(), Commit: report.Commit(), Machine: machine(), Repro: s.Repro, Scenarios: []report.Scenario{s}}
	if err := r.WriteDir(dir); err != nil {
		return err
	}
	return readAgain(dir, b.Name, property)
}

// readAgain reads a report that must say which property is broken, and how to see it again.
func readAgain(dir, bug, property string) error {
	again, err := readReport(dir)
	if err != nil {
		return err
	}
	named := func(v report.Violation) bool { return v.Property == property }
	if v := again.Scenarios[0].Violations; again.Verdict() != report.Violated || !slices.ContainsFunc(v, named) || again.Scenarios[0].Repro == "" {
		return fmt.Errorf("%s: the report says %s, %+v", dir, again.Verdict(), v)
	}
	for _, name := range []string{report.HTMLName, report.JUnitName} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), property) || !strings.Contains(string(text), bug) {
			return fmt.Errorf("%s/%s does not name %s and %s", dir, name, bug, property)
		}
	}
	return nil
}

// repro is the command that shows a bug again.
func repro(b mutant.Bug) string {
	if b.Run != "" {
		return "aegis-chaos " + strings.Join(runArgs(&b, b.Name, "aegis-mutants", "DIR"), " ")
	}
	if b.Room != "" {
		return fmt.Sprintf("AEGIS_MUTANT=%s go test -tags mutants -run '%s' ./%s", b.Name, pattern(b.Test), b.Room)
	}
	return fmt.Sprintf("aegis-chaos-mutants script --mutant %s %q", b.Name, b.Script)
}

func tellProofs(proofs []proof, took time.Duration) error {
	word := func(ok bool) string {
		if ok {
			return "yes"
		}
		return "NO"
	}
	fmt.Printf("%-5s %-9s %-9s %-9s %-9s %-9s %s\n", "bug", "property", "fired", "replayed", "reported", "clean", "where")
	var missing, failed []string
	for i := range proofs {
		p := &proofs[i]
		switch {
		case p.Verdict == later:
			missing = append(missing, p.Name)
			fmt.Printf("%-5s %-9.9s %-9s %-9s %-9s %-9s not seeded: %s\n", p.Name, p.Property, "-", "-", "-", "-", p.By)
			continue
		case !p.holds():
			failed = append(failed, p.Name)
		}
		fmt.Printf("%-5s %-9.9s %-9s %-9s %-9s %-9s %s\n", p.Name, p.Property, word(p.Verdict == caught), word(p.Replayed), word(p.Verdict == caught && p.Reported == nil), word(p.Verdict == caught && p.Clean == ""), p.By)
		if !p.holds() {
			fmt.Printf("      %s %v %s\n", p.Saw, p.Reported, p.Clean)
		}
	}
	fmt.Printf("%d bugs: %d killed by the property named for them, %d not seeded (%s), in %.0f s\n", len(proofs), len(proofs)-len(missing)-len(failed), len(missing), strings.Join(missing, ", "), took.Seconds())
	if len(failed) > 0 {
		return fmt.Errorf("not shown: %s", strings.Join(failed, ", "))
	}
	return nil
}

// spread calls f for each number below n, from some goroutines.
func spread(jobs, n int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range max(jobs, 1) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
