package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/baxromumarov/aegisKV/multiraft"
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// TestAReplacedReplicaStaysUntilItsHeirIsFilled lets a fourth node join three
// that hold data: the ring gives it groups of the others. Voter counts stay odd
// (DESIGN 3), and a voter leaves after the seats have changed, not before (L8):
// otherwise one death while the newcomer is filled leaves no raft quorum, and the
// copy of the node that was replaced is gone before there is another.
func TestAReplacedReplicaStaysUntilItsHeirIsFilled(t *testing.T) {
	nodes := startNodes(t, 3, 64<<20)
	p, value := talk(t, replicated(t, nodes).nc.RemoteAddr().String()), strings.Repeat("v", 1000)
	for i, tries := 0, 0; i < 5000; i++ {
		until(t, "a value is taken", func() bool { // a lease may lapse, and pass on, where nobody gets a processor
			said, lost := p.try([][]string{{"SET", fmt.Sprintf("{1}k%d", i), value}})
			if lost == nil && said[0] == "+OK\r\n" {
				return true
			}
			tries++
			p = talk(t, nodes[tries%3].cfg.ClientAddr)
			return false
		})
	}
	joiner := joinNode(t, nodes[0].cfg.GossipAddr, nodes[0].cfg.DataDir, "n4", 64<<20)
	two, lost := map[shardmap.GroupID]bool{}, map[shardmap.GroupID]bool{}
	for begun, placed := time.Now(), 0; placed < 64; time.Sleep(2 * time.Millisecond) {
		if placed = 0; time.Since(begun) > 60*time.Second {
			t.Fatal("not every group is where the ring wants it after a minute")
		}
		for _, n := range append(slices.Clone(nodes), joiner) {
			placed += n.lookAtVoters(t, two, lost)
		}
	}
	if len(two) > 0 {
		t.Errorf("%d groups had an even number of voters", len(two))
	}
	if len(lost) > 0 {
		t.Errorf("%d groups had a seat at a node that is no member any more: its copy is destroyed, and the heir is not seated", len(lost))
	}
}

// lookAtVoters notes which groups led by a node stand on an even number of voters
// outside a joint configuration, and which count a seat that has no replica. It
// counts those that have come to rest in a cluster of four.
func (n *Node) lookAtVoters(t *testing.T, two, lost map[shardmap.GroupID]bool) (placed int) {
	core := n.standing()
	if core == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = n.host.Do(ctx, func(multiraft.Instant) {
		for _, id := range core.raft.Groups() {
			st, _ := core.raft.Group(id)
			if id == shardmap.MetaGroup || !st.Open || st.Config.Joint() {
				continue
			}
			if len(st.Config.Voters)%2 == 0 {
				two[id] = true
			}
			r := core.data.Replica(id)
			for _, m := range r.Seats() {
				if _, member := st.Config.On(m.Node); !member {
					lost[id] = true
				}
			}
			if len(core.meta.Nodes) == 4 && inConfig(st.Config, core.meta.Group(id)) && r.Seated() {
				placed++
			}
		}
	})
	return placed
}

// joinNode starts one more node that knows a seed.
func joinNode(t *testing.T, seed, dir, id string, memory int64) *Node {
	t.Helper()
	ports := freePorts(t, 3)
	cfg := DefaultConfig()
	cfg.ID, cfg.DataDir, cfg.MaxMemoryBytes, cfg.LeaseProfile = id, dir, memory, "noisy"
	cfg.ClientAddr, cfg.ClusterAddr, cfg.GossipAddr, cfg.Seeds = ports[0], ports[1], ports[2], []string{seed}
	n, err := New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return n
}
