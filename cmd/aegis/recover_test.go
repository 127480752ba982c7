package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/internal/node"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func TestRecoverWantsNames(t *testing.T) {
	fails(t, 64, []string{"recover"}, "which nodes are gone?", "--gone")
	fails(t, 64, []string{"recover", "--gone", ","}, "which nodes are gone?")
	fails(t, 64, []string{"recover", "node1"}, "node1")
	fails(t, 2, []string{"recover", "--gone", "node1", "--addr", "127.0.0.1:1"}, "no node answers")
}

// TestARecoverySaysWhatMayBeLost: before and after, group by group where that is of use.
func TestARecoverySaysWhatMayBeLost(t *testing.T) {
	r := node.RecoveryReport{
		Gone: []string{"a", "b"}, Survivors: []string{"c"}, Meta: "c", Kept: 3,
		Groups: []node.RecoveredReport{{Group: 1, Node: "c", Whole: true, Keys: 7}, {Group: 2, Node: "c", Whole: true, Keys: 5, Missing: 4}, {Group: 9, Node: "c", Keys: 2}},
		Empty:  []node.RecoveredReport{{Group: 5, Node: "c"}},
	}
	wants := []string{
		"group 0 lost its majority: c would go on", "without a, b", "3 groups lost their majority and would go on with 14 keys", "1 are empty, 3 lose nothing",
		"group 2 on c: the copy of 5 keys lacks at least 4 writes", "group 9 on c: the copy of 2 keys is not whole", "1 groups: the copy is whole",
		"group 5 is left nowhere", "at least 4 writes are known to be missing", "nothing was changed",
	}
	text := recoveryText(r)
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said in\n%s", w, text)
		}
	}
	r.Done = true
	if text = recoveryText(r); strings.Contains(text, "nothing was changed") || !strings.Contains(text, "c goes on with it") || !strings.Contains(text, "and go on with 14 keys") {
		t.Errorf("when it is done it says\n%s", text)
	}
}

// TestRecoverAsksTheDeadFromHere: the node that is asked does not reach another one, which
// answers to the operator.
func TestRecoverAsksTheDeadFromHere(t *testing.T) {
	away := saysStatus(t, node.ClusterReport{Cluster: "c", Nodes: []node.NodeReport{{Node: 2, Name: "b"}}})
	other := saysStatus(t, node.ClusterReport{Cluster: "another", Nodes: []node.NodeReport{{Node: 3, Name: "x"}}})
	asked := saysStatus(t, node.ClusterReport{Cluster: "c", Nodes: []node.NodeReport{{Node: 1, Name: "a"}}, Absent: []node.Absentee{
		{Node: 2, Name: "b", Client: away}, {Node: 3, Name: "x", Client: other}, {Node: 4, Name: "d", Client: "127.0.0.1:1"},
	}})
	for _, gone := range [][]string{{"b"}, {"d", "2"}, {"x", away}} {
		if err := noneAnswersHere(asked, gone); err == nil || !strings.Contains(err.Error(), "b is not gone: it answers here, at "+away) {
			t.Errorf("%q: %v", gone, err)
		}
	}
	for _, gone := range [][]string{{"d"}, {"x"}, {"3", "4"}} { // nobody there, and somebody else
		if err := noneAnswersHere(asked, gone); err != nil {
			t.Errorf("%q: %v", gone, err)
		}
	}
}

// saysStatus is the address of something that answers every command with a report.
func saysStatus(t *testing.T, r node.ClusterReport) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write(resp.AppendBulk(nil, b))
			c.Close()
		}
	}()
	return l.Addr().String()
}
