package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// TestASelftestDemandsEverything: each of the demands alone is enough to fail.
func TestASelftestDemandsEverything(t *testing.T) {
	good := proof{killed: killed{Verdict: caught}, Replayed: true}
	if !good.holds() {
		t.Error("what showed everything does not hold")
	}
	for name, change := range map[string]func(*proof){
		"survived":               func(p *proof) { p.Verdict = survived },
		"replay is quiet":        func(p *proof) { p.Replayed = false },
		"no report":              func(p *proof) { p.Reported = errors.New("none") },
		"the clean build is not": func(p *proof) { p.Clean = "FAIL" },
	} {
		p := good
		change(&p)
		if p.holds() {
			t.Errorf("%s: it holds all the same", name)
		}
		p.Name = "M99"
		if err := tellProofs([]proof{p}, 0); err == nil || !strings.Contains(err.Error(), "M99") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tellProofs([]proof{{killed: killed{Verdict: later}}}, 0); err != nil {
		t.Errorf("what is not seeded is no failure, it is named: %v", err)
	}
}

// TestTheReportOfASeededBugIsWritten goes the way of a run that failed, where a
// harness is seldom tried.
func TestTheReportOfASeededBugIsWritten(t *testing.T) {
	o := selftestOptions{out: t.TempDir()}
	bugs := notedBugs()
	if len(bugs) != 24 {
		t.Fatalf("%d bugs of M01 to M24 are in the table", len(bugs))
	}
	for _, b := range bugs {
		if err := o.report(b, &killed{Saw: b.Property + ": seen"}); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	b, _ := mutant.Find("M04")
	if r := repro(b); !strings.Contains(r, "AEGIS_MUTANT=M04 go test") {
		t.Errorf("M04 is repeated by %q", r)
	}
}
