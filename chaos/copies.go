package chaos

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// Copy judges one node's copy of one shard at rest: it holds each key as the
// newest surviving write left it, and nothing else (P6, P7, P8).
type Copy struct {
	h     *History
	shard shardmap.ShardID
	node  shardmap.NodeID
	time  int64
	there map[Key]bool
}

// Copy begins to judge a copy at a shard time: keys with a deadline at or before
// it need not be there any more.
func (h *History) Copy(id shardmap.ShardID, node shardmap.NodeID, time int64) *Copy {
	return &Copy{h: h, shard: id, node: node, time: time, there: map[Key]bool{}}
}

// Entry takes one key of the copy.
func (c *Copy) Entry(key, value []byte, v shardmap.Version, deadline int64) {
	n, known := c.h.names[string(key)]
	if !known {
		c.h.broken("P2", "shard %d: %v has %q, which nobody wrote", c.shard, called(c.node), key)
		return
	}
	k := &c.h.keys[n]
	c.there[n] = true
	top := k.last()
	o := &Op{Key: n, Found: true, Version: v, Value: value, Deadline: deadline, Low: c.time, High: c.time, Node: c.node}
	if top != nil && top.version == v && top.deadline == deadline && deadline != 0 && (top.gone || deadline <= c.time) {
		return // dead, and not swept yet
	}
	if property, wrong := c.h.judge(k, top, o); property != "" {
		c.h.broken(property, "in the copy at rest: %s", wrong)
	}
}

// End looks for what the copy lacks.
func (c *Copy) End() {
	for i := range c.h.keys {
		k := &c.h.keys[i]
		if top := k.last(); k.shard == c.shard && !c.there[Key(i)] && !top.maybeAbsent(c.time) {
			c.h.broken("P8", "shard %d: %q is not in the copy of %v, after %s", c.shard, k.name, called(c.node), top)
		}
	}
}
