//go:build mutants

package multiraft

import (
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/baxromumarov/aegisKV/internal/mutant"
)

// overlapping are the seeded bugs that make two nodes serve at once, or a lower
// ballot after a higher one, and the schedule that shows it.
var overlapping = map[string]string{
	"M03":            "02 ",
	"receipt":        "02 ",
	"M04":            "18 ",
	"drift-lease":    "18 ",
	"M05":            "09 ",
	"nowait":         "03 ",
	"norestarthold":  "09 ",
	"keepbits":       "a HB and a FENCE",
	"selfforever":    "a fenced holder",
	"releasefirst":   "26 ",
	"releaseany":     "07 ",
	"releasemoves":   "RELEASE overtakes",
	"holdlatest":     "03 ",
	"nominseq":       "04 ",
	"noechoinc":      "05 ",
	"nodereleaseany": "13 ",
	"volatileterm":   "10 ",
	"ackfirst":       "13 ",
	"cachednow":      "07 ",
	"runtimel":       "24 ",
	"nosuspend":      "15 ",
	"M10":            "11 ",
}

// failing are the seeded bugs that another rule still covers, so that nobody
// overlaps: the schedule misses what it expects.
var failing = map[string]string{
	"revive":    "06 ",
	"autoleave": "20 ",
	"M20":       "a node that hears nothing",
}

func TestSeededBugsAreNoticed(t *testing.T) {
	for name, prefix := range overlapping {
		t.Run(name, func(t *testing.T) {
			if _, overlaps := playSeeded(t, name, prefix); len(overlaps) == 0 {
				t.Error("no overlap")
			} else {
				t.Log(overlaps[0])
			}
		})
	}
	for name, prefix := range failing {
		t.Run(name, func(t *testing.T) {
			if fails, _ := playSeeded(t, name, prefix); len(fails) == 0 {
				t.Error("every expectation was met")
			} else {
				t.Log(fails[0])
			}
		})
	}
}

func playSeeded(t *testing.T, bug, prefix string) (fails, overlaps []string) {
	mutant.Set(bug)
	defer mutant.Set("")
	for i, sc := range schedules {
		if strings.HasPrefix(sc.name, prefix) {
			cryptotest.SetGlobalRandom(t, uint64(i))
			return play(t, sc.nodes, sc.play)
		}
	}
	t.Fatalf("no schedule %q", prefix)
	return nil, nil
}

// drift-wait alone stays inside the margin of the lease (2 rho there pay for one
// rho of the voter and one of the waiter), so it is noticed by its number.
func TestTheWaitIsLengthened(t *testing.T) {
	mutant.Set("drift-wait")
	defer mutant.Set("")
	if waited(1000*ms) > 1000*ms {
		t.Error("the seeded bug has no effect")
	}
}

// Storms find the common bugs without a script.
func TestStormsNoticeSeededBugs(t *testing.T) {
	for _, name := range []string{"nowait", "keepbits", "ackfirst"} {
		mutant.Set(name)
		found := false
		for seed := uint64(0); seed < 400 && !found; seed++ {
			found = len(storm(t, seed).overlaps) > 0
		}
		mutant.Set("")
		if !found {
			t.Errorf("%s: not noticed in 400 storms", name)
		}
	}
}
