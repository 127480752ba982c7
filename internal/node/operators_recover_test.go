package node

import (
	"context"
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
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
	known := &meta.State{Removed: []meta.UUID{gone}}
	for name, c := range map[string]struct {
		rep  membership.Reply
		ends bool
	}{
		"a member":         {membership.Reply{UUID: [16]byte{3}, Cluster: cluster, Removed: true}, true},
		"one that is gone": {membership.Reply{UUID: gone, Cluster: cluster, Removed: true}, false},
		"another cluster":  {membership.Reply{UUID: [16]byte{3}, Cluster: [16]byte{9}, Removed: true}, false},
		"nothing of it":    {membership.Reply{UUID: [16]byte{3}, Cluster: cluster}, false},
	} {
		if got := verdictOf(c.rep, cluster, known) == removedHere; got != c.ends {
			t.Errorf("%s: it ends: %v", name, got)
		}
	}
}

// TestOfTwoThatPartedOneYields: two nodes of three were each told, at opposite sides of a cut,
// that the others are gone. Each is asked by the other; exactly one of them ends, the same one
// whoever asks first, and nobody is removed. A word that knows of the other's maker while
// that one does not is no parting.
func TestOfTwoThatPartedOneYields(t *testing.T) {
	cluster := [16]byte{1}
	side := func(self, by shardmap.NodeID, survivors int, gone ...shardmap.NodeID) *meta.State {
		s := &meta.State{}
		r := meta.Recovery{Generation: 1, Survivors: survivors, By: meta.Maker{Node: by, Counter: uint64(self)}}
		for _, g := range gone {
			r.Nodes = append(r.Nodes, meta.Forsaken{ID: g})
			s.Removed = append(s.Removed, meta.UUID{byte(g)})
		}
		s.Recoveries = []meta.Recovery{r}
		return s
	}
	hears := func(self shardmap.NodeID, known *meta.State, other shardmap.NodeID, theirs *meta.State) verdict {
		return verdictOf(membership.Reply{
			UUID: [16]byte{byte(other)}, Cluster: cluster, Removed: theirs.WasRemoved(meta.UUID{byte(self)}), Recovered: theirs.Marks(),
		}, cluster, known)
	}
	for name, c := range map[string]struct {
		a, b *meta.State
		atA  verdict
		atB  verdict
	}{
		"as many":               {side(1, 1, 1, 2, 3), side(2, 2, 1, 1, 3), yieldsHere, yieldsThere},
		"more survivors":        {side(1, 1, 2, 2), side(2, 2, 1, 1, 3), yieldsThere, yieldsHere},
		"the same one":          {side(1, 1, 2, 3), side(1, 1, 2, 3), stays, stays},
		"one has heard of it":   {&meta.State{}, side(2, 2, 1, 1, 3), removedHere, stays},
		"one knew of the other": {side(1, 1, 2, 3), side(2, 2, 1, 1, 3), removedHere, stays},
	} {
		if atA, atB := hears(1, c.a, 2, c.b), hears(2, c.b, 1, c.a); atA != c.atA || atB != c.atB {
			t.Errorf("%s: node 1 finds %d, node 2 %d, want %d and %d", name, atA, atB, c.atA, c.atB)
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
