package node

import (
	"strings"
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestTheSecondOfTwoDecommissionsIsRefusedWithTheReason has two wait at a holder of group 0,
// each allowed when it was asked for.
func TestTheSecondOfTwoDecommissionsIsRefusedWithTheReason(t *testing.T) {
	c, _ := founder(t)
	c.meta.Nodes = append(c.meta.Nodes, meta.Node{ID: 4, UUID: meta.UUID{4}, Name: "node4"})
	answers := make(map[shardmap.NodeID]string)
	var is []meta.Entry
	for n := shardmap.NodeID(3); n <= 4; n++ {
		i := meta.Intend{Node: n, Intent: meta.Leaving}
		is = append(is, meta.Entry{Intend: &i})
		c.intents = append(c.intents, intending{i, func(a Answer) { answers[n] = a.Err + string(a.Body) }, c.now.Mono + time.Minute})
	}
	for i, e := range is {
		upcalls{c}.Applied(shardmap.MetaGroup, uint64(i+2), e.Encode(), c.now)
	}
	if len(c.intents) != 0 || answers[3] != `{"changed":true}` || !strings.Contains(answers[4], "3 are needed") {
		t.Errorf("%d wait on; answered %v", len(c.intents), answers)
	}
	if row, _ := c.meta.Node(4); row.Intent != meta.Active {
		t.Errorf("the second is %v too", row.Intent)
	}
}

// TestANodeWhoseVoteCountsHasNotLeft: group 0 wants it to learn, and it votes still.
func TestANodeWhoseVoteCountsHasNotLeft(t *testing.T) {
	c, _ := founder(t)
	c.meta.Nodes[0].Intent = meta.Leaving
	c.meta.Groups = c.meta.Groups[:1]
	c.meta.Groups[0].Replicas[0].Role = meta.Learner
	now := c.now
	now.Mono += time.Minute
	if c.depart(now); c.departed != 0 {
		t.Error("it said that it has left")
	}
}
