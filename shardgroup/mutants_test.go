//go:build mutants

package shardgroup

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// seededBugs are the rules of this room that can be switched off by name, each
// with the test that must notice.
var seededBugs = []struct{ name, by string }{
	{"M01", "TestLeaseIsChecked"},
	{"M02", "TestLeaseIsChecked"},
	{"M06", "TestSchedule51Wait"},
	{"M08", "TestSchedule15"},
	{"M09", "TestSchedule01"},
	{"M10", "TestSchedule01"},
	{"M11", "TestGapIsNotSkipped"},
	{"no-clamp", "TestSchedule13"},
	{"no-seal", "TestSchedule03"},
	{"amnesiac-counted", "TestSchedule19"},
	{"mark-after-first-chunk", "TestSchedule13"},
	{"base-too-low", "TestSchedule02"},
	{"ack-before-majority", "TestSchedule26"},
	{"skip-revert", "TestSchedule16"},
	{"seats-without-joint-count", "TestSchedule26"},
	{"solo-not-declared", "TestSchedule30"},
	{"stale-chunk-accepted", "TestSchedule03"},
	{"admit-too-early", "TestAdmitWaitsForTheFill"},
	{"divergent-state-as-source", "TestSchedule18"},
	{"seal-before-term-entry", "TestRandom"},
	{"gate-counts-from-base", "TestGateCountsFromWhatIsHeld"},
	{"open-resets-solo", "TestSchedule32"},
	{"whole-before-open", "TestSchedule22"},
	{"unclean-forgotten", "TestUncleanIsCarriedOn"},
	{"seat-taken-by-open", "TestHolderWithoutASeat"},
	{"tail-across-a-hole-row", "TestSchedule18"},
	{"chunk-merges", "TestSchedule13"},
}

// TestSeededBugs runs this binary once per bug: the named test must fail.
func TestSeededBugs(t *testing.T) {
	for _, b := range seededBugs {
		t.Run(b.name, func(t *testing.T) {
			out, err := exec.Command(os.Args[0], "-test.run", b.by, "-mutant", b.name, "-seeds", "2000", "-steps", "3000").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+b.by) {
				t.Fatalf("not noticed by %s: %v\n%.500s", b.by, err, out)
			}
		})
	}
}
