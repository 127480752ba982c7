package redis

import (
	"bytes"
	"math"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

func cmdRename(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.together(shardmap.SlotOf(args[1]), true, func() {
			if _, ok := c.rename(args[1], args[2], false); ok {
				c.ok()
			}
		})
	}
}

func cmdRenameNX(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.together(shardmap.SlotOf(args[1]), true, func() {
			if moved, ok := c.rename(args[1], args[2], true); ok {
				c.bit(moved)
			}
		})
	}
}

// rename gives a value and its deadline another key, where there must be none with nx.
// ok says whether a reply must still be written.
func (c *conn) rename(from, to []byte, nx bool) (moved, ok bool) {
	st, ok := c.stat(from)
	switch {
	case !ok:
		return false, false
	case !st.Found:
		c.fail("ERR no such key")
		return false, false
	case bytes.Equal(from, to):
		return false, true
	}
	if moved, ok = c.copyTo(st, from, to, !nx); !moved || !ok {
		return moved, ok
	}
	c.op = Op{Kind: OpDel, Slot: shardmap.SlotOf(from), Key: from}
	return true, c.do()
}

// copyTo copies a key that st was told of; without replace only where none is.
func (c *conn) copyTo(st Stat, from, to []byte, replace bool) (copied, ok bool) {
	value, _, ok := c.value(from)
	if !ok {
		return false, false
	}
	c.op = Op{Kind: OpSet, Cond: NX, Slot: shardmap.SlotOf(to), Key: to, Value: value}
	if replace {
		c.op.Cond = Always
	}
	if st.Deadline != 0 {
		c.op.TTLMode, c.op.TTL = TTLAbsolute, st.Deadline
	}
	if !c.do() {
		return false, false
	}
	return c.res.Changed, true
}

func cmdCopy(c *conn, args [][]byte) {
	if !c.oneSlot(args[:3], 1, 1) {
		return
	}
	replace, ok := c.copyOptions(args[3:])
	switch {
	case !ok:
	case bytes.Equal(args[1], args[2]):
		c.fail("ERR source and destination objects are the same")
	default:
		c.together(shardmap.SlotOf(args[1]), true, func() { c.copy(args[1], args[2], replace) })
	}
}

func (c *conn) copy(from, to []byte, replace bool) {
	st, ok := c.stat(from)
	switch {
	case !ok:
	case !st.Found:
		c.bit(false)
	default:
		if copied, ok := c.copyTo(st, from, to, replace); ok {
			c.bit(copied)
		}
	}
}

// databases is how many SELECT knows in Redis, where only the first is used.
const databases = 16

// copyOptions reads REPLACE and DB; the only database there is may be named.
func (c *conn) copyOptions(opts [][]byte) (replace, ok bool) {
	elsewhere := false
	for ; len(opts) > 0; opts = opts[1:] {
		switch {
		case is(opts[0], "REPLACE"):
			replace = true
		case is(opts[0], "DB") && len(opts) > 1:
			opts = opts[1:]
			db, valid := parseInt(opts[0])
			switch {
			case !valid:
				c.fail(errInteger)
				return false, false
			case db < math.MinInt32 || db > math.MaxInt32:
				c.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
				return false, false
			case db < 0 || db >= databases:
				c.fail("ERR DB index is out of range")
				return false, false
			}
			elsewhere = db != 0
		default:
			c.fail(errSyntax)
			return false, false
		}
	}
	if elsewhere {
		c.fail("ERR Copying to another database is not allowed in cluster mode")
	}
	return replace, !elsewhere
}
