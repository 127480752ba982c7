package node

import (
	"context"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestRecoverAtANodeThatKnowsNothing: group 0 has not filled it, so it knows no names,
// and no earlier recoveries either.
func TestRecoverAtANodeThatKnowsNothing(t *testing.T) {
	n := startNodes(t, 1, 64<<20)[0]
	<-n.built
	if err := n.host.Do(context.Background(), func(multiraft.Instant) { n.core.meta = nil }); err != nil {
		t.Fatal(err)
	}
	if n.forsaken(context.Background(), "n9") != 0 {
		t.Error("it knows a node that was declared gone")
	}
	if _, err := n.Recover([]string{"n9"}); err == nil || !strings.Contains(err.Error(), "ask another survivor") {
		t.Errorf("it answers %v", err)
	}
}

// TestWhoWasDeclaredGoneEndsNobody: two that were cut off are each told that the other one
// is gone for good. When they meet, neither takes the other's word for its own end.
func TestWhoWasDeclaredGoneEndsNobody(t *testing.T) {
	cluster, gone := [16]byte{1}, [16]byte{2}
	removed := func(u [16]byte) bool { return u == gone }
	for name, c := range map[string]struct {
		rep  membership.Reply
		ends bool
	}{
		"a member":         {membership.Reply{UUID: [16]byte{3}, Cluster: cluster, Removed: true}, true},
		"one that is gone": {membership.Reply{UUID: gone, Cluster: cluster, Removed: true}, false},
		"another cluster":  {membership.Reply{UUID: [16]byte{3}, Cluster: [16]byte{9}, Removed: true}, false},
		"nothing of it":    {membership.Reply{UUID: [16]byte{3}, Cluster: cluster}, false},
	} {
		if got := banishes(c.rep, cluster, removed); got != c.ends {
			t.Errorf("%s: it ends: %v", name, got)
		}
	}
}

// TestEverybodyIsAskedInSomeTurn: of those declared gone together only one may reach a
// survivor, and by one of its contacts.
func TestEverybodyIsAskedInSomeTurn(t *testing.T) {
	var l lonely
	var contacts []membership.Contact
	for n := shardmap.NodeID(1); n <= 7; n++ {
		contacts = append(contacts, membership.Contact{Node: n})
	}
	asked := map[shardmap.NodeID]int{}
	for range 2 {
		for _, at := range l.turn(contacts, 4) {
			asked[at.Node]++
		}
	}
	if len(asked) != 6 || asked[4] != 0 {
		t.Errorf("two turns ask %v", asked)
	}
	if ask := l.turn(contacts[:1], 1); ask != nil {
		t.Errorf("alone it asks %v", ask)
	}
}
