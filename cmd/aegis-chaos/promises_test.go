package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// TestThePageOfPromisesIsREADMEs: every guarantee of README has its section in
// docs/promises.md, in its words, and no other has one.
func TestThePageOfPromisesIsREADMEs(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := readmePromises(string(readme))
	if len(rows) < 8 {
		t.Fatalf("README promises only %q", rows)
	}
	if _, err := promisesPage(string(readme), nil); err != nil {
		t.Fatal(err)
	}
	sections := strings.Count(string(page), "\n## ") - 2 // the last ones have times and losses
	if sections != len(rows) {
		t.Errorf("the page has %d sections for %d promises", sections, len(rows))
	}
	for _, r := range rows {
		if want := "\n## " + r[0] + "\n\n> " + strings.ReplaceAll(r[1], "](docs/", "](") + "\n"; !strings.Contains(string(page), want) {
			t.Errorf("docs/promises.md lacks %q: make promises", want)
		}
	}
	for _, p := range promises {
		if len(p.properties) == 0 && p.beside == "" {
			t.Errorf("nobody looks at %q", p.name)
		}
	}
	if !strings.Contains(string(page), "recover-untold") {
		t.Error("the bugs of a recovery belong to no promise")
	}
	if _, err := promisesPage(strings.Replace(string(readme), "| one writer |", "| two writers |", 1), nil); err == nil {
		t.Error("a promise that nobody knows is taken")
	}
}

func TestFiguresAreSummedUp(t *testing.T) {
	ran := func(server, name string, judged, broken int64) report.Outline {
		r := report.Report{Schema: 1, Scenarios: []report.Scenario{{Name: name, Cluster: report.Cluster{Server: server}, Checks: []report.Check{
			{Property: "P2-P9, P11, once", Name: "answers", Judged: judged, Broken: broken, Of: "operations"}, {Property: "P1", Judged: 5, Of: "leases"},
		}}}}
		return r.Outline()
	}
	checks, names := summed([]string{"P8"}, []report.Outline{ran("aegis", "kill", 3, 0), ran("aegis dev", "pause", 4, 1), ran("redis 7", "kill", 100, 100)})
	if len(checks) != 1 || checks[0].Judged != 7 || checks[0].Broken != 1 || strings.Join(names, " ") != "kill pause" {
		t.Errorf("%+v in %q", checks, names)
	}
	for list, want := range map[string]bool{"P2-P9, P11": true, "P8": true, "P9": false, "P80": false, "once": false, "P1, P9-P12": false} {
		if covers(list, "P8") != want {
			t.Errorf("%q holds P8: %v", list, !want)
		}
	}
	if !covers("P11, once", "once") || covers("P2-P9", "once") {
		t.Error("a property without a number is not found, or found everywhere")
	}
}

// TestRunsAreToldByWhatTheyAre: runs that differ in their seeds only stand in one row, times
// are those of runs that had the machine for themselves, a missed bar says so, and what was
// lost is summed up apart where most copies go at once.
func TestRunsAreToldByWhatTheyAre(t *testing.T) {
	ran := func(seed uint64, flags, name string, away time.Duration, lost int64) report.Outline {
		r := report.Report{Schema: 1, Seed: seed, Commit: "0123456789abcdef", Suite: fmt.Sprintf("run --scenario x --seed %d%s", seed, flags), Scenarios: []report.Scenario{{
			Name: name, Verdict: report.Pass, Cluster: report.Cluster{Server: "aegis"}, Faults: make([]report.Fault, 3),
			Losses:         report.Losses{Acked: 100, AckedMajority: 1000, Lost: lost, Reported: lost, Windows: []report.LossWindow{{Writes: lost, Span: 20 * time.Millisecond}}},
			Unavailability: []report.Unavailability{{Fault: "kill", Cycles: 3, Budget: time.Second, Bar: "bar", Gaps: []report.Gap{{Affected: true, Read: time.Millisecond, Write: away}}}},
		}}}
		return r.Outline()
	}
	runs := []report.Outline{
		ran(1, " --budgets=false", "kill-leaseholder", 11*time.Millisecond, 2), ran(2, " --budgets=false", "kill-leaseholder", 12*time.Millisecond, 4),
		ran(3, "", "pause-long", 2*time.Second, 0), ran(4, " --budgets=false", "kill-all", 13*time.Millisecond, 50),
	}
	var b strings.Builder
	tellRuns(&b, runs)
	tellUnavailability(&b, runs)
	tellLosses(&b, runs)
	page := b.String()
	for _, want := range []string{
		"| run --scenario x --budgets=false on aegis | 3 | 1 2 4 | 0123456789ab |", "| 3 pass |", "| run --scenario x on aegis | 1 | 3 |",
		"| aegis | pause-long | 3 | 1 | 2s | 2s | 2s | 1ms | bar (1s), **missed** |",
		"| never most copies of a shard at once | 300 | 6 | 3000 | 0 | 0 | 3 | 2 | 4 | 4 | 20ms | 20ms | 20ms |",
		"| most copies at once, or out of reach: kill-two, kill-all, restart-storm, swizzle | 100 | 50 | 1000 | 0 | 0 | 1 | 50 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	if strings.Contains(page, "11ms") {
		t.Error("times of a run beside others are told")
	}
}
