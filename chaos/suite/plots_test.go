package suite

import (
	"fmt"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/chaos"
	"github.com/baxromumarov/aegisKV/chaos/report"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestGapsAreExplainedByLeases: who served before and after, and how long nobody did.
func TestGapsAreExplainedByLeases(t *testing.T) {
	const base = time.Hour
	all := []chaos.Serving{
		{Group: 2, Node: 1, From: base + 2600*ms, Until: base + 9000*ms},
		{Group: 2, Node: 0, From: base, Until: base + 2050*ms},
		{Group: 3, Node: 2, From: base, Until: base + 9000*ms},
	}
	name := func(node int) string { return fmt.Sprint("node", node+1) }
	for _, c := range []struct {
		at, long time.Duration
		want     report.Gap
	}{
		{2000 * ms, 650 * ms, report.Gap{From: "node1", To: "node2", WaitOut: 600 * ms, Reroute: 50 * ms}},
		{4000 * ms, 70 * ms, report.Gap{From: "node2", To: "node2"}},
		{2100 * ms, 100 * ms, report.Gap{}},
		{8900 * ms, 500 * ms, report.Gap{From: "node2"}},
	} {
		g := report.Gap{At: c.at, Write: c.long}
		heldBy(all, 2, base).explain(&g, name)
		c.want.At, c.want.Write = c.at, c.long
		if g != c.want {
			t.Errorf("%+v, want %+v", g, c.want)
		}
	}
}

// TestCellsSayWhenNobodyHeldTheLease, and that one failure colours a step.
func TestCellsSayWhenNobodyHeldTheLease(t *testing.T) {
	held := tenures{{Node: 0, From: 0, Until: 1050 * ms}, {Node: 1, From: 1500 * ms, Until: 9 * time.Second}}
	p := &probe{reads: []time.Duration{100 * ms, 300 * ms, 1700 * ms}, fails: []time.Duration{310 * ms, 1040 * ms, 1060 * ms, 1600 * ms}}
	got := ""
	for at := time.Duration(0); at < 2*time.Second; at += step {
		got += string(p.cell(at, at+step, held))
	}
	if want := ".e   n  e "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOnlyLongStallsAreKept, the longest of them, by time.
func TestOnlyLongStallsAreKept(t *testing.T) {
	late := []lateness{{at: ms, by: 19 * ms}}
	for i := range stallsMax + 5 {
		late = append(late, lateness{at: time.Duration(i) * time.Second, by: 20*ms + time.Duration(i)})
	}
	list := longest(late)
	if len(list) != stallsMax || list[0].At != 5*time.Second || list[len(list)-1].At != (stallsMax+4)*time.Second {
		t.Errorf("%d stalls, from %v to %v", len(list), list[0], list[len(list)-1])
	}
}

func TestShardsOfAGroup(t *testing.T) {
	if got := shardsOf(layout, 16); got != "60 to 63" {
		t.Error(got)
	}
	if got := shardsOf(shardmap.Layout{Shards: 16, Groups: 16}, 3); got != "2" {
		t.Error(got)
	}
}
