package main

import (
	"os"
	"strings"
	"testing"

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
