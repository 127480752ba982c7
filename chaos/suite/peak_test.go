package suite

import (
	"strings"
	"testing"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// TestMemoryBeyondTheLimitIsSeen: P18 allows what README says, and not a byte more.
func TestMemoryBeyondTheLimitIsSeen(t *testing.T) {
	n := &cluster.Cluster{Nodes: []*cluster.Node{{Name: "node1"}, {Name: "node2"}}}
	k := &peak{}
	k.most.Store(0, memoryBar(memoryEach))
	k.most.Store(1, memoryBar(memoryEach)+1)
	broken, most := k.grown(n, memoryEach)
	if len(broken) != 1 || !strings.HasPrefix(broken[0], "P18: node2 took ") || most != memoryBar(memoryEach)+1 {
		t.Errorf("%v, %d", broken, most)
	}
	if bar := memoryBar(1 << 30); bar != 1<<30 || memoryBar(64<<20) != (64+48)<<20 {
		t.Errorf("the bar is not what README promises: %d MiB", bar>>20)
	}
}
