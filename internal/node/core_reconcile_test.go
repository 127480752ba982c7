package node

import (
	"testing"
	"time"

	"github.com/baxromumarov/aegisKV/multiraft/meta"
)

// TestALeaseThatIsInTheWayGoesSoon: a lease goes back to a node that was away when it has
// looked well for long; but where the holder is to give its copy up, copies wait for it.
func TestALeaseThatIsInTheWayGoesSoon(t *testing.T) {
	c, _ := founder(t)
	for _, step := range []struct {
		what       string
		generation uint64 // of node 2
		leaves     bool   // this node gives its copy up
		comes      int    // how often node 2 has come back
		want       time.Duration
	}{
		{"a newcomer", 1, false, 0, newcomerSteady},
		{"a node that was away", 2, false, 1, steadyFor},
		{"a newcomer, of a copy that goes", 1, true, 0, newcomerSteady},
		{"a node that was away, of a copy that goes", 2, true, 1, newcomerSteady},
		{"a node that comes and goes, of a copy that goes", 3, true, 2, steadyFor},
	} {
		for i := range c.meta.Nodes {
			c.meta.Nodes[i].Generation = step.generation
		}
		c.comebacks[2] = comeback{times: step.comes, at: c.now.Mono}
		kept := c.meta.Groups[1].Replicas
		if step.leaves {
			var others []meta.Replica
			for _, r := range kept {
				if r.Node != c.self.Node {
					others = append(others, r)
				}
			}
			c.meta.Groups[1].Replicas = others
		}
		if got := c.patience(1, 2); got != step.want {
			t.Errorf("%s: %v, want %v", step.what, got, step.want)
		}
		c.meta.Groups[1].Replicas = kept
	}
}
