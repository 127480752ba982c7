package suite

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/report"
)

const ms = time.Millisecond

func TestGaps(t *testing.T) {
	var all []time.Duration
	for at := time.Duration(0); at < time.Second; at += 10 * ms {
		if at <= 300*ms || at >= 700*ms {
			all = append(all, at)
		}
	}
	for _, c := range []struct{ from, to, gap, since time.Duration }{
		{0, 200 * ms, 10 * ms, 0},
		{200 * ms, 900 * ms, 400 * ms, 300 * ms},
		{400 * ms, 500 * ms, 400 * ms, 300 * ms}, // it touches the window at both ends
		{710 * ms, 900 * ms, 10 * ms, 700 * ms},
		{800 * ms, 2 * time.Second, 1010 * ms, 990 * ms}, // and has not ended
	} {
		if g, since := gap(all, c.from, c.to); g != c.gap || since != c.since {
			t.Errorf("from %v to %v: %v since %v, want %v since %v", c.from, c.to, g, since, c.gap, c.since)
		}
	}
	if g, _ := gap(nil, ms, 5*ms); g != 4*ms {
		t.Errorf("without any success: %v", g)
	}
}

// TestVerdicts: what cannot be judged is no pass.
func TestVerdicts(t *testing.T) {
	many := report.Phases{Before: report.Counts{OK: 1000}, During: report.Counts{OK: 1000}, After: report.Counts{OK: 1000}}
	for name, c := range map[string]struct {
		change func(r *run)
		want   report.Verdict
	}{
		"all is well":             {func(*run) {}, report.Pass},
		"a violation":             {func(r *run) { r.broken = []string{"P2: wrong"} }, report.Violated},
		"and nothing was judged":  {func(r *run) { r.broken, r.vague = []string{"P2: wrong"}, []string{"vague"} }, report.Violated},
		"undecided":               {func(r *run) { r.vague = []string{"undecided"} }, report.Inconclusive},
		"nobody wrote before":     {func(r *run) { r.res.Operations.Before.OK = 3 }, report.Inconclusive},
		"nobody wrote during":     {func(r *run) { r.res.Operations.During.OK = 3 }, report.Inconclusive},
		"nobody wrote afterwards": {func(r *run) { r.res.Operations.After.OK = 3 }, report.Inconclusive},
		"too slow":                {func(r *run) { r.gaps.Gaps[0].Write = 5 * time.Second }, report.BudgetMissed},
		"too slow, not judged":    {func(r *run) { r.gaps.Gaps[0].Write, r.o.Budgets = 5*time.Second, false }, report.Pass},
		"others noticed":          {func(r *run) { r.gaps.Gaps[20].Read = time.Second }, report.BudgetMissed},
	} {
		r := &run{o: Options{Budgets: true}, res: report.Scenario{Operations: many}, gaps: report.Unavailability{Budget: crashBar}}
		for i := range 40 {
			r.gaps.Gaps = append(r.gaps.Gaps, report.Gap{Affected: i < 10, Read: 50 * ms, Write: 60 * ms})
		}
		c.change(r)
		r.conclude()
		if r.res.Verdict != c.want || (r.res.Reason == "") != (c.want == report.Pass) {
			t.Errorf("%s: %v (%q), want %v", name, r.res.Verdict, r.res.Reason, c.want)
		}
	}
}

func TestScenariosAreWhatTheySay(t *testing.T) {
	var names, kinds []string
	smoke := 0
	for _, s := range Scenarios() {
		if slices.Contains(names, s.Name) || s.About == "" || s.strike == nil {
			t.Errorf("%+v", s)
		}
		names = append(names, s.Name)
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
		}
		if s.Smoke {
			smoke++
		}
	}
	if len(names) < 30 || len(kinds) < 20 || smoke < 4 || smoke > 6 {
		t.Errorf("%d scenarios of %d kinds, %d in the short run", len(names), len(kinds), smoke)
	}
	o := Options{Scenarios: names, Nodes: 3, Ack: "async", WAL: "off", Seed: 7, Duration: time.Second}
	if err := o.Check(); err != nil || !strings.Contains(o.command("kill-all"), "--scenario kill-all --seed 7 ") {
		t.Errorf("%v, %q", err, o.command("kill-all"))
	}
	for _, wrong := range []func(*Options){
		func(o *Options) { o.Scenarios = []string{"kill-some"} }, func(o *Options) { o.Scenarios = nil },
		func(o *Options) { o.Nodes = 2 }, func(o *Options) { o.Ack = "some" }, func(o *Options) { o.WAL = "on" },
	} {
		bad := o
		if wrong(&bad); bad.Check() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
}

// TestValuesAreShortAndUnique: long values stand in a history by their sum.
func TestValuesAreShortAndUnique(t *testing.T) {
	a, b := []byte(strings.Repeat("x", 1000)), []byte(strings.Repeat("x", 999)+"y")
	if string(short(a)) == string(short(b)) || len(short(a)) > shortMax || string(short(a[:200])) != string(a[:200]) {
		t.Errorf("%q and %q", short(a), short(b))
	}
}

// TestKeysDieBeforeASearchGivesUp: no key collects more operations than a search can judge.
func TestKeysDieBeforeASearchGivesUp(t *testing.T) {
	k, ops, kinds := newKeyring(1, ""), map[string]int{}, map[chaos.Kind]int{}
	for i := range 200_000 {
		name, kind := k.pick()
		ops[name]++
		kinds[kindsOf(kind, i%100)]++
	}
	most := 0
	for _, n := range ops {
		most = max(most, n)
	}
	if most > keyOps || len(ops) < 500 || len(kinds) != 4 {
		t.Errorf("%d keys, %d operations of one, kinds %v", len(ops), most, kinds)
	}
}

// TestBudgetsAreOfOneAtATime: scenarios side by side disturb each other's latencies.
func TestBudgetsAreOfOneAtATime(t *testing.T) {
	o := Options{Scenarios: []string{"kill-all", "bridge"}, Nodes: 3, Ack: "async", WAL: "off", Duration: time.Second, AtOnce: 2}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	if o.Budgets = true; o.Check() == nil {
		t.Error("budgets of two scenarios side by side are judged")
	}
}

// TestWithoutItsProgramAScenarioIsNoPass: who has not built the nodes that take orders is
// told so, and the scenario counts for nothing.
func TestWithoutItsProgramAScenarioIsNoPass(t *testing.T) {
	dir := t.TempDir()
	o := Options{Scenarios: []string{"clock-jump"}, Nodes: 3, Ack: "async", WAL: "off", Seed: 1, Duration: time.Second, Out: dir, Aegis: filepath.Join(dir, "aegis")}
	rep, err := Run(t.Context(), o, func(Progress) {}, func(report.Scenario) {})
	if err != nil || rep.Verdict() != report.Inconclusive || !strings.Contains(rep.Scenarios[0].Reason, "make chaos") {
		t.Errorf("%v, %+v", err, rep)
	}
}
