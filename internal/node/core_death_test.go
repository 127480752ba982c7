package node

import (
	"slices"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/membership"
	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestWhoIsDead puts words of others about node 3 to a holder of group 0 whose voters
// are nodes 1, 2 and 3.
func TestWhoIsDead(t *testing.T) {
	c, _ := founder(t)
	now := c.now
	now.Mono += time.Hour
	word := func(silent, old time.Duration) missingWord { return missingWord{Silent: silent, at: now.Mono - old} }
	for _, k := range []struct {
		name  string
		words map[shardmap.NodeID]missingWord
		dead  bool
	}{
		{"nobody says anything", nil, false},
		{"one of three voters misses it", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0)}, false},
		{"most miss it", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0), 2: word(time.Minute, time.Second)}, true},
		{"one of them not for long enough", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0), 2: word(59*time.Second, 0)}, false},
		{"what the other says is old", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0), 2: word(time.Hour, missingFresh)}, false},
		{"a node without a vote has heard it", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0), 2: word(time.Hour, 0), 7: word(time.Second, 0)}, false},
		{"nodes without a vote do not count", map[shardmap.NodeID]missingWord{1: word(time.Hour, 0), 7: word(time.Hour, 0), 8: word(time.Hour, 0)}, false},
	} {
		if got := c.dead(&death{words: k.words, after: time.Minute}, now); got != k.dead {
			t.Errorf("%s: dead %v", k.name, got)
		}
	}
}

// TestWhoWasSentAwayIsNotWaitedForLong: a node that operators decommissioned is wanted by
// nobody. It may be dead, and would never say that it leaves; one that was only missed has
// the time of replace-after.
func TestWhoWasSentAwayIsNotWaitedForLong(t *testing.T) {
	c, _ := founder(t)
	for _, k := range []struct {
		after  time.Duration
		intent meta.Intent
		absent bool
		want   time.Duration
	}{
		{0, meta.Active, false, 0},
		{0, meta.Draining, false, 0},
		{0, meta.Leaving, true, 0},
		{0, meta.Leaving, false, leaverMissed},
		{time.Hour, meta.Active, false, time.Hour},
		{time.Hour, meta.Leaving, true, time.Hour},
		{time.Hour, meta.Leaving, false, leaverMissed},
		{time.Second, meta.Leaving, false, time.Second},
	} {
		c.cfg.ReplaceAfter = k.after
		if got := c.goneAfter(meta.Node{ID: 3, Intent: k.intent, Absent: k.absent}); got != k.want {
			t.Errorf("%+v: %v", k, got)
		}
	}
}

// TestTheDeadAreKeptWhereNobodyCanTakeTheirPlace asks what keeps a dead node 3.
func TestTheDeadAreKeptWhereNobodyCanTakeTheirPlace(t *testing.T) {
	c, _ := founder(t)
	c.cfg.ReplaceAfter = time.Minute
	c.watchComebacks(c.now)
	row := func() meta.Node { n, _ := c.meta.Node(3); return n }
	if why := c.keeps(row(), c.now); why == "" {
		t.Error("the third of three nodes is replaced")
	}
	for _, id := range []shardmap.NodeID{4, 5} {
		c.meta.Nodes = append(c.meta.Nodes, meta.Node{ID: id, UUID: meta.UUID{byte(id)}, Name: "node" + string('0'+rune(id))})
	}
	now := c.now
	if c.watchComebacks(now); c.keeps(row(), now) != "" {
		t.Errorf("four others live, and it is kept: %s", c.keeps(row(), now))
	}
	now.Mono += time.Minute // nobody but this node has been heard since
	if c.now = now; c.keeps(row(), now) == "" {
		t.Error("it is replaced though nobody lives who could take its place")
	}
	c.meta.Nodes[4].Intent = meta.Leaving
	c.deaths = map[shardmap.NodeID]*death{5: {}}
	if why := c.keeps(row(), c.now); why != "node5 is being replaced first" {
		t.Errorf("two at once: %q", why)
	}
}

// TestOneOfTwoThatDieTogetherIsReplacedFirst: the second must wait though nothing of the
// first has been applied yet.
func TestOneOfTwoThatDieTogetherIsReplacedFirst(t *testing.T) {
	c, _ := founder(t)
	c.cfg.ReplaceAfter = time.Minute
	c.deaths = make(map[shardmap.NodeID]*death)
	for _, id := range []shardmap.NodeID{4, 5} {
		c.meta.Nodes = append(c.meta.Nodes, meta.Node{ID: id, UUID: meta.UUID{byte(id)}, Name: "node" + string('0'+rune(id))})
		silent := missingWord{Silent: time.Hour, at: c.now.Mono}
		c.deaths[id] = &death{words: map[shardmap.NodeID]missingWord{1: silent, 2: silent}}
	}
	c.watchComebacks(c.now)
	for pass := range 2 {
		for _, row := range c.meta.Nodes[3:] {
			c.replace(row, c.deaths[row.ID], c.now)
		}
		if c.deaths[4].why != "" || c.deaths[5].why != "node4 is being replaced first" {
			t.Errorf("pass %d: node 4 is kept: %q, node 5 is kept: %q", pass, c.deaths[4].why, c.deaths[5].why)
		}
	}
}

// TestANodeIsMissedNoLongerThanItIsKnown keeps a newcomer alive that has not spoken yet.
func TestANodeIsMissedNoLongerThanItIsKnown(t *testing.T) {
	c, _ := founder(t)
	now := c.now
	now.Mono, now.Wait = now.Mono+time.Hour, now.Wait+time.Hour
	if d := c.missedFor(3, now); d != 0 {
		t.Errorf("a node that nobody has looked for is missed for %v", d)
	}
	c.watchComebacks(now)
	now.Mono, now.Wait = now.Mono+time.Second, now.Wait+time.Second
	if d := c.missedFor(3, now); d != time.Second {
		t.Errorf("a node that is known for a second is missed for %v", d)
	}
}

// TestWhoReadsIsNotMissed: a node that reads its log takes part in nothing, for as long as
// that takes. It is missed from when it does not get on any more, and lives for nobody who
// counts those that could take copies now.
func TestWhoReadsIsNotMissed(t *testing.T) {
	c, _ := founder(t)
	c.cfg.ReplaceAfter = time.Minute
	c.watchComebacks(c.now)
	now := c.now
	for done := uint64(1); now.Mono < c.now.Mono+time.Hour; done++ {
		now.Mono, now.Wait = now.Mono+time.Second, now.Wait+time.Second
		c.data.Recovering(3, done, now)
		if d := c.missedFor(3, now); d != 0 {
			t.Fatalf("a node that gets on is missed for %v", d)
		}
	}
	if d := c.silentFor(3, now); d != time.Hour {
		t.Errorf("it is silent for %v", d)
	}
	last := now.Mono
	for now.Mono < last+time.Hour { // it says the same again and again
		now.Mono, now.Wait = now.Mono+time.Second, now.Wait+time.Second
		c.data.Recovering(3, 1, now)
	}
	if d := c.missedFor(3, now); d < c.cfg.ReplaceAfter || d > time.Hour {
		t.Errorf("a node that does not get on is missed for %v", d)
	}
}

// TestNodesWithoutARowAreForgotten: a cluster may have a new node every hour for years.
func TestNodesWithoutARowAreForgotten(t *testing.T) {
	c, _ := founder(t)
	c.watchComebacks(c.now)
	c.deaths = make(map[shardmap.NodeID]*death)
	for _, n := range []shardmap.NodeID{2, 3} {
		c.deaths[n], c.leavers[n] = &death{}, c.now.Mono
		c.Gossiped(told(n, 2, "10.9.9.9:7001", membership.Alive), c.now)
	}
	remembered := func(n shardmap.NodeID) (times int) {
		_, came := c.comebacks[n]
		_, said := c.gossip[n]
		_, hinted := c.hinted[n]
		_, leaves := c.leavers[n]
		_, dies := c.deaths[n]
		for _, is := range []bool{came, said, hinted, leaves, dies} {
			if is {
				times++
			}
		}
		return times
	}
	c.meta.Nodes = slices.DeleteFunc(c.meta.Nodes, func(n meta.Node) bool { return n.ID == 3 })
	was := remembered(3)
	c.metaChanged()
	if was != 5 || remembered(3) != 0 || remembered(2) != 5 {
		t.Errorf("of node 3, which is gone, %d of %d things are remembered, of node 2 %d", remembered(3), was, remembered(2))
	}
}
