package node

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestAFlappingNodeWaitsLonger counts comebacks and what each costs.
func TestAFlappingNodeWaitsLonger(t *testing.T) {
	var b comeback
	at := time.Minute
	for i, want := range []time.Duration{steadyFor, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, flapMax, flapMax} {
		if b.cameBack(at); b.backOff() != want || b.at != at {
			t.Fatalf("after %d comebacks: %v since %v, want %v since %v", i+1, b.backOff(), b.at, want, at)
		}
		if b.cameBack(at + comebackOnce/2); b.backOff() != want || b.at != at {
			t.Fatalf("the row that follows a comeback counts as another: %+v", b)
		}
		at += 2 * time.Minute
	}
	if b.cameBack(at + 2*flapMax); b.times != 1 {
		t.Fatalf("a node that stayed for twenty minutes has come back %d times", b.times)
	}
}

// TestComebacksAreSeen lets a node start again and again as the registry tells it.
func TestComebacksAreSeen(t *testing.T) {
	c, _ := founder(t)
	now := c.now
	start := func(generation uint64) {
		for i := range c.meta.Nodes {
			if n := &c.meta.Nodes[i]; n.ID == 2 {
				n.Generation = generation
			}
		}
		now.Mono += time.Minute
		c.now = now
		c.watchComebacks(now)
	}
	start(1)
	if start(2); c.flaps(2) {
		t.Fatal("a node that was restarted once flaps")
	}
	if start(3); !c.flaps(2) || c.flaps(3) {
		t.Fatalf("restarted twice within a minute: %+v; never: %+v", c.comebacks[2], c.comebacks[3])
	}
	now.Mono += time.Minute
	if c.now = now; c.flaps(2) {
		t.Fatalf("it flaps though it has stayed for a minute: %+v", c.comebacks[2])
	}
}

// TestALeaseThatWasMovedByHandStays asks a node to keep a group.
func TestALeaseThatWasMovedByHandStays(t *testing.T) {
	c, _ := founder(t)
	if a := c.answerKeep(answerOf(keepQuestion{2, 24 * time.Hour}).Body, c.now); a.Err != "" || c.kept[2] != c.now.Mono+keepMax {
		t.Fatalf("%+v, kept until %v", a, c.kept)
	}
	for _, g := range []shardmap.GroupID{0, 3, 999} {
		if a := c.answerKeep(answerOf(keepQuestion{g, time.Second}).Body, c.now); a.Err == "" {
			t.Errorf("there is no group %d, and it is kept", g)
		}
	}
	if why := c.refusesTransfer(1, 2, c.now); why != "node1 does not hold group 1: "+notHolder {
		t.Errorf("a node that holds nothing says %q", why)
	}
	if why := c.refusesTransfer(7, 2, c.now); why != "there is no group 7: groups are 0 to 2" {
		t.Errorf("%q", why)
	}
}
