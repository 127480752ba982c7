package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAReportComesBack(t *testing.T) {
	r := &Report{Schema: Schema, Suite: "run", Seed: 1<<64 - 1, Begun: time.Unix(1e9, 0).UTC(), Scenarios: []Scenario{{
		Name: "kill", Verdict: Violated,
		Violations: []Violation{{Property: "P2", Key: Bytes("\x00\xff<b>\"\\\n"), Operations: []Operation{{Key: Bytes("k"), Value: Bytes("\xf0\x28")}}}},
	}}}
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `\\x00\\xff<b>`) {
		t.Errorf("a binary key is not readable in %s", b.String())
	}
	again, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, r) {
		t.Errorf("wrote %+v, read %+v", r, again)
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"schema":2,"scenarios":{}}`: "schema 2, this program reads up to 1",
		`{"seed":1}`:                  "does not say its schema",
		`{"schema":1,"scenarios":7}`:  "of schema 1",
		`<html>`:                      "no report.json",
		``:                            "no report.json",
	} {
		if _, err := Decode(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestTheWorstVerdictIsTheReports(t *testing.T) {
	for _, c := range []struct {
		all  []Verdict
		want Verdict
		code int
	}{
		{nil, Inconclusive, 2},
		{[]Verdict{Pass, Pass}, Pass, 0},
		{[]Verdict{Pass, BudgetMissed}, BudgetMissed, 3},
		{[]Verdict{Inconclusive, BudgetMissed}, Inconclusive, 2},
		{[]Verdict{Violated, Inconclusive, Pass}, Violated, 1},
		{[]Verdict{Pass, "who knows"}, "who knows", 2},
	} {
		r := &Report{}
		for _, v := range c.all {
			r.Scenarios = append(r.Scenarios, Scenario{Verdict: v})
		}
		if v := r.Verdict(); v != c.want || v.ExitCode() != c.code {
			t.Errorf("%v: %v with exit code %d", c.all, v, v.ExitCode())
		}
	}
}

func TestSamplesAreBoundedAndKeepWhatIsSlow(t *testing.T) {
	s := NewSampler(1)
	const quick, slow = 200_000, 300
	for i := range quick {
		s.Add(Point{At: time.Duration(i) * time.Millisecond, Took: time.Millisecond, Kind: "get"})
		if i%(quick/slow) == 0 {
			s.Add(Point{At: time.Duration(i) * time.Millisecond, Took: slowFrom, Kind: "set"})
		}
	}
	s.Add(Point{At: 0, Took: time.Microsecond, Outcome: Unknown})
	got := s.Samples()
	var kept, early int
	for i, p := range got.Points {
		if i > 0 && p.At < got.Points[i-1].At {
			t.Fatal("points are not by time")
		}
		if p.Outcome != OK || p.Took >= slowFrom {
			kept++
		} else if p.At < quick/2*time.Millisecond {
			early++
		}
	}
	if int64(kept) != got.Outliers || kept < slow || len(got.Points) != kept+pointsKept || got.Of != quick+got.Outliers {
		t.Errorf("%d points of %d, %d of %d outliers", len(got.Points), got.Of, kept, got.Outliers)
	}
	if early < pointsKept*45/100 || early > pointsKept*55/100 {
		t.Errorf("%d of %d quick points are from the first half", early, pointsKept)
	}
}

func TestDistributionsOfGaps(t *testing.T) {
	u := Unavailability{}
	for i := range 100 {
		u.Gaps = append(u.Gaps, Gap{Affected: true, Read: time.Duration(i+1) * time.Millisecond, Write: time.Second}, Gap{Read: 3, Write: 7})
	}
	want := Distribution{100, 50 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond}
	if d := u.Read(); d != want {
		t.Errorf("reading: %+v, want %+v", d, want)
	}
	if d := u.Write(); d.P50 != time.Second {
		t.Errorf("writing: %+v", d)
	}
	if d := u.Others(); d != (Distribution{100, 7, 7, 7}) {
		t.Errorf("groups that were not hit: %+v", d)
	}
	if d := Distribute([]time.Duration{3}); d != (Distribution{1, 3, 3, 3}) {
		t.Errorf("of one: %+v", d)
	}
}

func TestTheLongestGapTouchesTheWindow(t *testing.T) {
	all := []time.Duration{1, 2, 30, 40, 41, 60, 100}
	for _, c := range []struct {
		successes             []time.Duration
		from, to, at, longest time.Duration
	}{
		{all, 3, 50, 2, 28},   // begun before the window
		{all, 35, 50, 41, 19}, // ends after it
		{all, 40, 41, 30, 10},
		{all, 70, 300, 100, 200}, // nothing came afterwards
		{nil, 5, 25, 5, 20},      // nothing at all
	} {
		if at, gap := LongestGap(c.successes, c.from, c.to); at != c.at || gap != c.longest {
			t.Errorf("%v in %v to %v: %v from %v, want %v from %v", c.successes, c.from, c.to, gap, at, c.longest, c.at)
		}
	}
}
