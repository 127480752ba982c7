package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/membership"
)

func TestStatusShowsGossipAndNotices(t *testing.T) {
	says := func(name string, s membership.State) node.GossipReport {
		return node.GossipReport{Name: name, State: s}
	}
	r := node.ClusterReport{
		Verdict: "all groups are served; 1 nodes do not answer", Silent: []string{"node4"},
		Absent: []node.Absentee{{Node: 4, Name: "node4", Client: "127.0.0.1:7030", NotHeard: 12345 * time.Millisecond}},
		Nodes: []node.NodeReport{
			{Node: 2, Name: "node2", Gossip: []node.GossipReport{says("node1", membership.Alive), says("node3", membership.Alive), says("node4", membership.Dead)}},
			{Node: 1, Name: "node1", Gossip: []node.GossipReport{says("node2", membership.Alive), says("node3", 0), says("node4", membership.Dead)}, Notices: []string{"something is wrong"}},
			{Node: 3, Name: "node3"},
		},
	}
	var out bytes.Buffer
	printStatus(&out, r)
	for _, line := range []string{
		`1 +node1 .*up +alive$`, `2 +node2 .*up +alive$`, `3 +node3 .*up +alive 1, unknown 1$`,
		`4 +node4 +127\.0\.0\.1:7030 +does not answer +dead$`, `node4 \(127\.0\.0\.1:7030\) has not been heard for 12s: start it again with its own --data-dir`, `node1: something is wrong$`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).Match(out.Bytes()) {
			t.Errorf("no line like %q in\n%s", line, out.String())
		}
	}
}
