package report

import (
	"strings"
	"testing"
	"time"
)

// TestWhyAGroupWasAway: a time without a fault names the one before it, and the machine.
func TestWhyAGroupWasAway(t *testing.T) {
	s := &Scenario{
		Faults:  []Fault{{Kind: "kill", Target: "node1", Start: 2 * sec, End: 3 * sec}, {Kind: "pause", Target: "node2", Start: 10 * sec, End: 11 * sec}},
		Witness: Witness{Late: []Stall{{4 * sec, 30 * ms}, {4100 * ms, 260 * ms}}},
	}
	for _, c := range []struct {
		from, to float64
		want     string
	}{
		{1, 1.5, "no fault in force"},
		{2.5, 3.5, "kill of node1"},
		{2.5, 10.2, "kill of node1, pause of node2, the machine itself stood still for 260 ms"},
		{4, 4.2, "no fault in force, 1.00 s after kill of node1, the machine itself stood still for 260 ms"},
		{9, 9.5, "no fault in force"},
		{2.5, 4.05, "kill of node1"}, // 30 ms explain nothing beside a kill
		{11.5, 12, "no fault in force, 500 ms after pause of node2"},
	} {
		if got := s.Why(at(c.from), at(c.to)); got != c.want {
			t.Errorf("%v to %v: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// TestOutagesAreOneRowForEachFault: gaps too short to be one are left out.
func TestOutagesAreOneRowForEachFault(t *testing.T) {
	s := &Scenario{
		Faults: []Fault{{Kind: "kill", Target: "node1", Start: 2 * sec, End: 3 * sec}, {Kind: "kill", Target: "node3", Start: 6 * sec, End: 7 * sec}},
		Groups: Matrix{Rows: []Row{{Name: "group 2", Shards: "4 to 7"}, {Name: "group 10", Shards: "36 to 39"}}},
		Unavailability: []Unavailability{{Gaps: []Gap{
			{Cycle: 1, Group: "group 2", At: 6 * sec, Read: 400 * ms},
			{Cycle: 0, Group: "group 10", At: 2100 * ms, Read: 500 * ms, Write: 600 * ms},
			{Cycle: 0, Group: "group 2", At: 2 * sec, Read: 700 * ms},
			{Cycle: 0, Group: "group 3", At: 2 * sec, Read: 99 * ms},
		}}},
	}
	all := s.Outages()
	if len(all) != 2 {
		t.Fatalf("%+v", all)
	}
	if o := all[0]; o.Why != "kill of node1" || o.At != 2*sec || o.Shortest != 600*ms || o.Worst.Group != "group 2" || spans(o.Groups) != "group 2, 10" || spans(o.Shards) != "4 to 7, 36 to 39" {
		t.Errorf("%+v", o)
	}
	if o := all[1]; o.Why != "kill of node3" || len(o.Groups) != 1 {
		t.Errorf("%+v", o)
	}
}

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func TestNamesAreSummedUp(t *testing.T) {
	for want, list := range map[string][]string{
		"":                       nil,
		"group 1 to 3, 5, 10":    {"group 10", "group 2", "group 1", "group 3", "group 5"},
		"0 to 7, 12 to 15":       {"4 to 7", "12 to 15", "0 to 3"},
		"slots 0-99, slots 5":    {"slots 0-99", "slots 5"},
		"group 1, somebody else": {"group 1", "somebody else"},
		hostile:                  {hostile},
	} {
		if got := spans(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHeadlines(t *testing.T) {
	of := func(verdicts ...Verdict) *Report {
		r := &Report{}
		for _, v := range verdicts {
			r.Scenarios = append(r.Scenarios, Scenario{Name: "kill-all", Verdict: v})
		}
		return r
	}
	for want, r := range map[string]*Report{
		"nothing was run":        of(),
		"kill-all passed":        of(Pass),
		"kill-all did not pass":  of(Violated),
		"all 2 scenarios passed": of(Pass, Pass),
		"1 of 4 scenarios passed, 1 violation, 2 budget missed": of(BudgetMissed, Pass, Violated, BudgetMissed),
	} {
		if got := r.Headline(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLossesThatBreakNothing: majority writes may be lost when most copies are gone, and
// the page does not cry about them.
func TestLossesThatBreakNothing(t *testing.T) {
	s := Scenario{Name: "kill-all", Verdict: Pass, Losses: Losses{Acked: 900, AckedMajority: 100, Lost: 3, LostMajority: 2, Reported: 5, Deadly: true}}
	html, p := drawn(t, &Report{Schema: Schema, Scenarios: []Scenario{s}})
	for _, fact := range []string{"5 were lost, all reported; 2 of them were majority writes, where most copies were gone at once", "3 + 2 majority", "most copies were gone at once, so these may be lost"} {
		if !strings.Contains(p.text, fact) {
			t.Errorf("the page does not say %q", fact)
		}
	}
	if strings.Contains(html, `<b class="bad">2 majority`) || strings.Contains(html, `n bad`) {
		t.Error("what is allowed is marked as bad")
	}
}

// TestABudgetThatIsOnlyTold stands beside a pass, and says why that is one.
func TestABudgetThatIsOnlyTold(t *testing.T) {
	u := Unavailability{Fault: "kill", Budget: sec, Bar: "L", Told: true, Gaps: []Gap{{Group: "group 1", Affected: true, Read: 2 * sec}}}
	_, p := drawn(t, &Report{Schema: Schema, Scenarios: []Scenario{{Name: "kill", Verdict: Pass, Unavailability: []Unavailability{u}}}})
	if want := "missed (told, no verdict: --budgets=false)"; !strings.Contains(p.text, want) {
		t.Errorf("the page does not say %q", want)
	}
	if strings.Contains(p.text, "served before by") {
		t.Error("columns of what is not known are shown")
	}
}
