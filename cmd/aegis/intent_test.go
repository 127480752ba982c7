package main

import (
	"bytes"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWhoWaitsIsToldNowAndThen: in a log a line every few seconds, however often what is left
// changes, and the newest word is kept for the end.
func TestWhoWaitsIsToldNowAndThen(t *testing.T) {
	var out bytes.Buffer
	l := &waitLine{line: newLiveLine(&out), name: "node4"}
	for _, left := range []string{"3 copies", "2 copies", "1 copies"} {
		l.tell(left)
	}
	if got := out.String(); got != "node4: 3 copies\n" || l.last != "1 copies" {
		t.Errorf("told %q, kept %q", got, l.last)
	}
	l.at = l.at.Add(-progressLines)
	l.tell("1 copies")
	l.at = l.at.Add(-progressLines)
	l.tell("1 copies")
	if got := out.String(); got != "node4: 3 copies\nnode4: 1 copies\n" {
		t.Errorf("told %q", got)
	}
}

// TestADecommissionTellsRateAndTime of what is left.
func TestADecommissionTellsRateAndTime(t *testing.T) {
	n := node.NodeReport{Node: 4, Groups: []node.GroupReport{{Group: 1, Bytes: 20 << 20, Open: true}, {Group: 2, Bytes: 10 << 20}}}
	r := node.ClusterReport{
		Moves:  []node.Move{{Group: 1, From: []shardmap.NodeID{4}, To: []shardmap.NodeID{2}, Bytes: 20 << 20, Done: 5 << 20}},
		Moving: &node.Moving{Copies: 2, Left: 25 << 20, Rate: 10 << 20, Seconds: 2.5},
	}
	want := "2 copies (30 MiB) and 1 leases are left; 1 groups on their way, 5 MiB of 20 MiB are there; 2 copies (25 MiB) are to come at 10 MiB/s, about 3s left"
	if got := copiesLeft(r, &n); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := silentLeft(r, "leaving"), "it does not answer: 1 groups on their way, 5 MiB of 20 MiB are there; 2 copies (25 MiB) are to come at 10 MiB/s, about 3s left"; got != want {
		t.Errorf("of a dead node: %s\nwant %s", got, want)
	}
	if got := silentLeft(r, "draining"); got != "it does not answer" {
		t.Errorf("of a dead node that is drained: %s", got)
	}
	if got := copiesLeft(r, nil); got != "" {
		t.Errorf("of a node that has left: %q", got)
	}
}
