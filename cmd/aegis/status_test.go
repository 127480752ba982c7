package main

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func TestStatusShowsGossipAndNotices(t *testing.T) {
	says := func(name string, s membership.State) node.GossipReport {
		return node.GossipReport{Name: name, State: s}
	}
	r := node.ClusterReport{
		Verdict: "all groups are served; 1 nodes do not answer", Silent: []string{"node4"},
		Absent: []node.Absentee{{Node: 4, Name: "node4", Client: "127.0.0.1:7030", NotHeard: 12345 * time.Millisecond}, {Node: 5, Name: "node5", Intent: "leaving"}},
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
		`4 +node4 +127\.0\.0\.1:7030 +does not answer +dead$`, `node4 \(127\.0\.0\.1:7030\) has not been heard for 12s: start it again with its own --data-dir.*aegis decommission node4$`,
		`node5 .* does not answer: it was sent away`, `node1: something is wrong$`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).Match(out.Bytes()) {
			t.Errorf("no line like %q in\n%s", line, out.String())
		}
	}
}

// TestANodeThatIsSilentIsNotCalledAbsent: a node that waits for its cluster has its port open
// and answers nobody.
func TestANodeThatIsSilentIsNotCalledAbsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = adminWithin(10*time.Millisecond, l.Addr().String(), "status")
	if err := notTold(l.Addr().String(), err, 1); exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "was reached and does not answer") {
		t.Errorf("%d: %v", exitCode(err), err)
	}
	l.Close()
	_, err = adminWithin(time.Second, l.Addr().String(), "status")
	if err := notTold(l.Addr().String(), err, 1); exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "no node answers") {
		t.Errorf("%d: %v", exitCode(err), err)
	}
}

func TestStatusShowsHowFarMovesAre(t *testing.T) {
	moves := []node.Move{
		{Group: 1, To: []shardmap.NodeID{4}, Bytes: 30 << 20, Done: 10 << 20, Rate: 5 << 20},
		{Group: 2, To: []shardmap.NodeID{4}, Bytes: 10 << 20},
	}
	for _, c := range []struct {
		moving *node.Moving
		want   string
	}{
		{&node.Moving{Copies: 12, Left: 90 << 20, Rate: 5 << 20, Seconds: 18}, "; 12 copies (90 MiB) are to come at 5 MiB/s, about 18s left"},
		{&node.Moving{Copies: 1, Left: 1 << 10, Rate: 5 << 20, Seconds: .0002}, "; 1 copies (1 KiB) are to come at 5 MiB/s, about 1s left"},
		{&node.Moving{Copies: 12, Left: 90 << 20}, "; 12 copies (90 MiB) are to come"},
		{nil, ""}, // of an older node
	} {
		var out bytes.Buffer
		printStatus(&out, node.ClusterReport{Moves: moves, Moving: c.moving})
		if want := "\n2 groups on their way, 10 MiB of 40 MiB are there" + c.want + "\n"; !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if s := movesText(node.ClusterReport{}); s != "" {
		t.Errorf("without moves it says %q", s)
	}
}
