package redis

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

// stringMax is the longest value of Redis, in bytes. Ours are shorter, and too long
// ones are refused in our words; beyond this Redis's own come first.
const stringMax = 512 << 20

func cmdGetRange(c *conn, args [][]byte) {
	first, ok := parseInt(args[2])
	last, valid := parseInt(args[3])
	if !ok || !valid {
		c.fail(errInteger)
		return
	}
	if value, _, ok := c.value(args[1]); ok {
		c.out = resp.AppendBulk(c.out, cut(value, first, last))
	}
}

// cut is what lies between two positions, both included; negative ones count from
// the end.
func cut(value []byte, first, last int64) []byte {
	n := int64(len(value))
	if first < 0 && last < 0 && first > last {
		return nil
	}
	if first < 0 {
		first = max(0, n+first)
	}
	if last < 0 {
		last = max(0, n+last)
	}
	last = min(last, n-1)
	if first > last {
		return nil
	}
	return value[first : last+1]
}

func cmdSetRange(c *conn, args [][]byte) {
	first, ok := parseInt(args[2])
	switch {
	case !ok:
		c.fail(errInteger)
		return
	case first < 0:
		c.fail("ERR offset is out of range")
		return
	case len(args[3]) > 0 && first > stringMax-int64(len(args[3])):
		c.fail("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
		return
	}
	c.op = Op{Kind: OpSetRange, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[3], Delta: first}
	if c.do() {
		c.int(c.res.Int)
	}
}
