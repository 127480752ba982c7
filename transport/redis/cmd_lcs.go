package redis

import (
	"bytes"
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// The work of LCS is the product of the lengths of two values, which a client chooses.
// Redis works while all others wait, up to 134 million pairs of bytes with 512 MiB of
// memory. Here the values are copied, the shard is let go, and where it takes long one
// connection after the other works, so that it is one core at most. EXEC must hold the
// shard meanwhile: what one transaction may ask is a few milliseconds.
const (
	lcsPairsMax     = 1 << 26 // two values of 8 KiB: a quarter of a second, 8 MiB
	lcsPairsExecMax = 1 << 21 // of all LCS of a transaction: a few milliseconds
)

// lcsOptions are what follows the keys.
type lcsOptions struct {
	length, index, withLengths bool
	least                      int64 // runs that are shorter are not shown
}

func cmdLCS(c *conn, args [][]byte) {
	if !c.oneSlot(args[:3], 1, 1) {
		return
	}
	var o lcsOptions
	if !c.lcsOptions(&o, args[3:]) {
		return
	}
	if c.executing {
		if a, b, ok := c.twoValues(args[1], args[2]); ok {
			c.lcs(a, b, &o, lcsPairsExecMax-c.lcsSpent)
		}
		return
	}
	var a, b []byte
	read := false
	c.together(shardmap.SlotOf(args[1]), false, func() { a, b, read = c.twoValues(args[1], args[2]) })
	if read {
		c.lcs(a, b, &o, lcsPairsMax)
	}
}

// twoValues copies the first value and gives the second in memory that the next operation
// reuses. An absent key has the empty value.
func (c *conn) twoValues(first, second []byte) (a, b []byte, ok bool) {
	value, _, ok := c.value(first)
	if !ok {
		return nil, nil, false
	}
	a = bytes.Clone(value)
	b, _, ok = c.value(second)
	return a, b, ok
}

func (c *conn) lcsOptions(o *lcsOptions, words [][]byte) bool {
	for ; len(words) > 0; words = words[1:] {
		switch w := words[0]; {
		case is(w, "IDX"):
			o.index = true
		case is(w, "LEN"):
			o.length = true
		case is(w, "WITHMATCHLEN"):
			o.withLengths = true
		case is(w, "MINMATCHLEN") && len(words) > 1:
			var ok bool
			if o.least, ok = parseInt(words[1]); !ok {
				c.fail(errInteger)
				return false
			}
			words = words[1:]
		default:
			c.fail(errSyntax)
			return false
		}
	}
	if o.index && o.length {
		c.fail("ERR If you want both the length and indexes, please just use IDX.")
		return false
	}
	return true
}

// lcs answers what two values have in common, if that takes no more work than most.
func (c *conn) lcs(a, b []byte, o *lcsOptions, most int) {
	pairs := lcsPairs(a, b)
	if pairs > uint64(most) {
		c.fail(fmt.Sprintf("ERR LCS of %d and %d bytes is too much work: the product of the lengths may be %d, and %d in a transaction", len(a), len(b), lcsPairsMax, lcsPairsExecMax))
		return
	}
	switch {
	case c.executing:
		c.lcsSpent += int(pairs)
	case pairs > lcsPairsExecMax:
		c.srv.lcs.Lock()
		defer c.srv.lcs.Unlock()
	}
	t := newLCS(a, b)
	switch {
	case o.index:
		c.lcsRuns(t, o)
	case o.length:
		c.int(int64(t.size))
	default:
		c.out = resp.AppendBulk(c.out, t.text())
	}
}

// lcsRuns answers where the values are equal, from their ends.
func (c *conn) lcsRuns(t *lcsTable, o *lcsOptions) {
	var runs []matching
	t.walk(func(m matching) {
		if int64(m.len()) >= o.least {
			runs = append(runs, m)
		}
	})
	b := resp.AppendMap(c.out, c.sess.Proto, 2)
	b = resp.AppendArray(resp.AppendBulk(b, "matches"), len(runs))
	for _, m := range runs {
		words := 2
		if o.withLengths {
			words++
		}
		b = resp.AppendArray(b, words)
		b = resp.AppendInt(resp.AppendInt(resp.AppendArray(b, 2), int64(m.aFirst)), int64(m.aLast))
		b = resp.AppendInt(resp.AppendInt(resp.AppendArray(b, 2), int64(m.bFirst)), int64(m.bLast))
		if o.withLengths {
			b = resp.AppendInt(b, int64(m.len()))
		}
	}
	c.out = resp.AppendInt(resp.AppendBulk(b, "len"), int64(t.size))
}
