package peer

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

// TestRedisIsSeenToLoseWrites cuts a master off, under load, and wants to find what is
// known of Redis Cluster: it acknowledges writes on the wrong side and drops them
// without a word. A harness that does not find that here would not find it elsewhere.
func TestRedisIsSeenToLoseWrites(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		fmt.Println("NOT RUN: redis-server is missing (apt-get install redis-server)")
		return
	}
	const timeout = 500 * time.Millisecond
	r, err := NewRedis(RedisConfig{Program: "redis-server", Dir: t.TempDir(), Masters: 3, NodeTimeout: timeout, Args: []string{"--repl-diskless-sync-delay", "0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s, err := Run(t.Context(), r, Partition, Options{Cycles: 1, Fault: 2 * time.Second, Seed: 1, Tell: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	u, l := &s.Unavailability[0], &s.Losses
	t.Logf("%s: %s; affected %+v, others %+v; %d of %d lost", s.Verdict, s.Reason, u.Write(), u.Others(), l.Lost, l.Acked)
	if s.Verdict != report.Violated || l.Lost == 0 || l.Unreported() != l.Lost {
		t.Errorf("%d writes lost, %d reported: %s", l.Lost, l.Reported, s.Verdict)
	}
	if w := u.Write(); w.Count != ranges/3 || w.P50 < timeout {
		t.Errorf("the affected ranges were unavailable for %+v; nobody takes over before %v", w, timeout)
	}
	if f := s.Faults[0]; !f.Acted || f.End-f.Start < 2*time.Second {
		t.Errorf("the fault: %+v", f)
	}
	if p := s.Operations; min(p.Before.OK, p.During.OK, p.After.OK) < fewestOps {
		t.Errorf("too little traffic: %+v", p)
	}
	if n := len(s.Groups.Rows); n != ranges || bytes.IndexByte([]byte(s.Groups.Rows[0].Cells), report.CellOK) < 0 {
		t.Errorf("%d rows of probes", n)
	}
	for _, w := range l.Windows {
		if w.Writes < 1 || w.At < s.Faults[0].Start-waitMax || w.At > s.Faults[0].End {
			t.Errorf("a loss outside of the fault: %+v", w)
		}
	}
}

// TestJudge: what is lost without a word comes first, and silence is no pass.
func TestJudge(t *testing.T) {
	good := func() report.Scenario {
		c := report.Counts{OK: fewestOps}
		return report.Scenario{Operations: report.Phases{Before: c, During: c, After: c}, Faults: []report.Fault{{Acted: true}}, Losses: report.Losses{Acked: 9, Lost: 2, Reported: 2}}
	}
	for want, change := range map[report.Verdict]func(*report.Scenario){
		report.Pass:         func(*report.Scenario) {},
		report.Violated:     func(s *report.Scenario) { s.Losses.Reported = 1; s.Faults[0].Acted = false },
		report.Inconclusive: func(s *report.Scenario) { s.Operations.After.OK = 0 },
	} {
		s := good()
		change(&s)
		if v, why := judge(&s); v != want || (why == "") != (v == report.Pass) {
			t.Errorf("%s, because %q; want %s", v, why, want)
		}
	}
	s := good()
	s.Faults = append(s.Faults, report.Fault{})
	if v, _ := judge(&s); v != report.Inconclusive {
		t.Errorf("a fault that nobody saw: %s", v)
	}
}

func TestVersionInAToken(t *testing.T) {
	if head, v := versionIn("1:abc:3.17,40.99", 40); head != "1:abc:" || v != "40.99" {
		t.Errorf("%q %q", head, v)
	}
	if _, v := versionIn("1:abc:3.17", 4); v != "" {
		t.Errorf("a shard that is not there has version %q", v)
	}
}

// TestRanges: there is a tag in each, and the names cover the slots without a hole.
func TestRanges(t *testing.T) {
	r := newRoutes(nil)
	if slices.Contains(r.tags[:], "") {
		t.Errorf("a range has no tag: %q", r.tags)
	}
	next := 0
	for i := range ranges {
		var first, last int
		if _, err := fmt.Sscanf(rangeName(i), "slots %d-%d", &first, &last); err != nil || first != next {
			t.Errorf("%v: %s begins after %d", err, rangeName(i), next)
		}
		next = last + 1
	}
	if next != 16384 {
		t.Errorf("the last range ends at %d", next)
	}
}

func TestTargetsAreRefusedInOneSentence(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:1", "http://127.0.0.1:1", "redis://127.0.0.1:1"} {
		if _, err := NewTarget(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
