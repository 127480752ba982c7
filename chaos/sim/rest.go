package sim

import (
	"fmt"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// settleLimit is how long copies may take to reach the head once clients stop.
const settleLimit = 5 * time.Second

// settle stops the clients and lets every copy reach the head of its shard.
func (w *World) settle() {
	w.closing = true
	why := ""
	for end := w.now + settleLimit; w.now < end; {
		w.run(w.now + 200*time.Millisecond)
		if why = w.behind(); why == "" {
			w.copies()
			return
		}
	}
	w.history.Broken = append(w.history.Broken, fmt.Sprintf("P13: %v after the clients stopped: %s", settleLimit, why))
}

// behind says which copy is not at the head of its shard.
func (w *World) behind() string {
	for i := range w.cfg.Shards {
		id := shardmap.ShardID(i)
		head := w.history.Position(id)
		for _, p := range w.nodes {
			r := p.core.Data().ReplicaOf(id)
			if r == nil {
				continue
			}
			if _, at, _, whole := r.CopyDigest(id); !whole || at != head {
				return fmt.Sprintf("shard %d: the copy of node %d is at %v (whole: %v), the head is %v", id, p.id, at, whole, head)
			}
		}
	}
	return ""
}

// copies holds every copy at rest against the history.
func (w *World) copies() {
	for i := range w.cfg.Shards {
		id := shardmap.ShardID(i)
		for _, p := range w.nodes {
			if r := p.core.Data().ReplicaOf(id); r != nil {
				_, _, time, _ := r.CopyDigest(id)
				c := w.history.Copy(id, p.id, time)
				r.Each(id, c.Entry)
				c.End()
			}
		}
	}
}
