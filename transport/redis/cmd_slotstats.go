package redis

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// CLUSTER SLOT-STATS counts keys by slot. What a slot costs in processor time and bytes is
// not counted, as in Valkey unless it is told to: it would be two additions and a look at
// the clock for each command, for a question that is hardly ever asked. Keys are not
// counted by slot either; they are gone through, as for CLUSTER COUNTKEYSINSLOT.

func cmdSlotStats(c *conn, args [][]byte) {
	switch {
	case len(args) == 5 && is(args[2], "SLOTSRANGE"):
		c.slotsRange(args[3], args[4])
	case len(args) >= 4 && is(args[2], "ORDERBY"):
		c.slotsByKeys(args[3:])
	default:
		c.fail(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%.128s'. Try CLUSTER HELP.", untilNUL(args[1])))
	}
}

// slotCount is the number of keys of a slot.
type slotCount struct {
	slot shardmap.Slot
	keys int64
}

func (c *conn) slotsRange(from, to []byte) {
	first, ok1 := parseInt(from)
	last, ok2 := parseInt(to)
	switch {
	case !ok1 || !ok2 || min(first, last) < 0 || max(first, last) >= shardmap.Slots:
		c.fail("ERR Invalid or out of range slot")
	case first > last:
		c.fail(fmt.Sprintf("ERR Start slot number %d is greater than end slot number %d", first, last))
	default:
		if counts, ok := c.countSlots(shardmap.Slot(first), shardmap.Slot(last)); ok {
			c.showSlots(counts)
		}
	}
}

// slotsByKeys reads what stands behind ORDERBY.
func (c *conn) slotsByKeys(opts [][]byte) {
	if !is(opts[0], "KEY-COUNT") {
		c.fail("ERR Unrecognized sort metric for ORDERBY.")
		return
	}
	limit, limits, orders, rising := int64(shardmap.Slots), 0, 0, false
	for opts = opts[1:]; len(opts) > 0; opts = opts[1:] {
		switch o := opts[0]; {
		case is(o, "LIMIT") && len(opts) > 1:
			var ok bool
			if limit, ok = parseInt(opts[1]); !ok || limit < 1 || limit > shardmap.Slots {
				c.fail("ERR Limit has to lie in between 1 and 16384 (maximum number of slots).")
				return
			}
			opts = opts[1:]
			limits++
		case is(o, "ASC"), is(o, "DESC"):
			rising = is(o, "ASC")
			orders++
		default:
			c.fail(errSyntax)
			return
		}
		if limits > 1 || orders > 1 {
			c.fail("ERR Multiple filters of the same type are disallowed.")
			return
		}
	}
	counts, ok := c.countSlots(0, shardmap.Slots-1)
	if !ok {
		return
	}
	slices.SortStableFunc(counts, func(a, b slotCount) int {
		if rising {
			return cmp.Compare(a.keys, b.keys)
		}
		return cmp.Compare(b.keys, a.keys)
	})
	c.showSlots(counts[:min(int(limit), len(counts))])
}

// countSlots counts the keys of the slots that this node serves, in their order. What is
// handed over while it counts is left out: a part of it would be shown.
func (c *conn) countSlots(first, last shardmap.Slot) (counts []slotCount, ok bool) {
	keys := make([]int64, last-first+1)
	before := c.srv.backend.Map()
	end := before.Layout().ShardOf(last)
	for at := CursorAt(before.Layout().ShardOf(first), 0); ; {
		at, _, ok = c.walk(at, keysStep, func(key []byte) {
			if slot := shardmap.SlotOf(key); slot >= first && slot <= last {
				keys[slot-first]++
			}
		})
		if !ok {
			return nil, false
		}
		if at == 0 || at.Shard() > end {
			break
		}
	}
	self, after := c.srv.backend.Self(), c.srv.backend.Map()
	for i, n := range keys {
		if slot := first + shardmap.Slot(i); before.LeaderOf(slot) == self && after.LeaderOf(slot) == self {
			counts = append(counts, slotCount{slot, n})
		}
	}
	return counts, true
}

func (c *conn) showSlots(counts []slotCount) {
	b := resp.AppendArray(c.out, len(counts))
	for _, n := range counts {
		b = resp.AppendInt(resp.AppendArray(b, 2), int64(n.slot))
		b = resp.AppendMap(b, c.sess.Proto, 1)
		b = resp.AppendInt(resp.AppendBulk(b, "key-count"), n.keys)
	}
	c.out = b
}
