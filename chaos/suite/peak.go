package suite

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/baxromumarov/aegisKV/chaos/cluster"
)

// What a process may take beside its limit (P18): README names 48 MiB with a limit of
// 64 MiB and 92 MiB with one of 1 GiB.
const (
	besideLeast = 45 << 20
	besideShare = 21 // a part of the limit
)

// memoryBar is the most that a process with a limit may take.
func memoryBar(limit int64) int64 { return limit + besideLeast + limit/besideShare }

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
