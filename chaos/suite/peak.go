package suite

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
	"github.com/baxromumarov/aegisKV/internal/node"
)

// memoryBar is the most that a process with a limit may take (P18), to the byte what
// README says: nothing beside a limit of 192 MiB or more, 48 MiB beside one of 64 MiB.
func memoryBar(limit int64) int64 { return limit + node.BesideBytes(limit) }

// peak is the most memory that each process took, by the place of its node: who is killed
// takes the figure with it, so it is looked at all the time.
type peak struct {
	most   sync.Map
	mapped atomic.Int64 // most of the pages of files that a process had mapped
}

func (k *peak) look(c *cluster.Cluster) {
	for i, n := range c.Nodes {
		b, mapped := n.Memory()
		k.mapped.Store(max(k.mapped.Load(), mapped))
		if b > 0 {
			if old, ok := k.most.Load(i); !ok || old.(int64) < b {
				k.most.Store(i, b)
			}
		}
	}
}

// grown says which processes took more memory than they may, and what the most was.
func (k *peak) grown(c *cluster.Cluster, limit int64) (broken []string, most int64) {
	k.most.Range(func(i, v any) bool {
		b := v.(int64)
		if most = max(most, b); b > memoryBar(limit) {
			broken = append(broken, fmt.Sprintf("P18: %s took %d MiB of memory, with a limit of %d MiB", c.Nodes[i.(int)].Name, b>>20, limit>>20))
		}
		return true
	})
	return broken, most
}
