package meta

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestIntentsThatWouldHurtAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		is   []Intent // of nodes 1, 2, ...
		node shardmap.NodeID
		to   Intent
		why  string // part of the refusal, "" taken
	}{
		{"drain one of three", []Intent{Active, Active, Active}, 1, Draining, ""},
		{"drain the last that takes leases", []Intent{Active, Draining, Draining}, 1, Draining, "nowhere to go"},
		{"drain one that is leaving", []Intent{Leaving, Active, Active, Active}, 1, Draining, "leaving already"},
		{"drain it twice", []Intent{Draining, Active, Active}, 1, Draining, ""},
		{"undrain", []Intent{Leaving, Active, Active}, 1, Active, ""},
		{"leave a cluster of four", []Intent{Active, Active, Active, Active}, 4, Leaving, ""},
		{"leave a cluster of three", []Intent{Active, Active, Active}, 1, Leaving, "3 are needed"},
		{"two leave a cluster of four", []Intent{Leaving, Active, Active, Active}, 2, Leaving, "3 are needed"},
		{"the last one leaves", []Intent{Active}, 1, Leaving, "last node"},
		{"leave when the others are draining", []Intent{Active, Draining, Draining, Draining}, 1, Leaving, "undrain another"},
		{"unknown", []Intent{Active}, 7, Draining, "no node 7"},
		{"gone without leaving", []Intent{Active, Active, Active, Active}, 2, Gone, "only a node that is leaving"},
		{"gone too early", []Intent{Leaving, Active, Active, Active}, 1, Gone, "still has 1 groups"},
		{"gone", []Intent{Active, Active, Active, Leaving}, 4, Gone, ""},
		{"back from the dead", []Intent{Active, Active, Active, Gone}, 4, Active, "gone for good"},
	} {
		s := founded(len(c.is))
		for i, intent := range c.is {
			s.Nodes[i].Intent = intent
		}
		why := s.Refuses(c.node, c.to)
		if (c.why == "") != (why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: refused with %q, want %q", c.name, why, c.why)
		}
	}
}

// TestTwoThatWereDecidedAtOnceAreNotBothTaken: the second was allowed by a state that the
// first has changed since.
func TestTwoThatWereDecidedAtOnceAreNotBothTaken(t *testing.T) {
	for _, to := range []Intent{Draining, Leaving} {
		s, taken := founded(4), 0
		for n := shardmap.NodeID(1); n <= 4; n++ {
			if s.Apply(Entry{Intend: &Intend{Node: n, Intent: to}}) {
				taken++
			}
		}
		if want := map[Intent]int{Draining: 3, Leaving: 1}[to]; taken != want {
			t.Errorf("%d of four are %v, want %d", taken, to, want)
		}
	}
}
