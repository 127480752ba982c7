package redis

import (
	"math"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func (c *conn) incr(key []byte, by int64) {
	c.op = Op{Kind: OpIncrBy, Slot: shardmap.SlotOf(key), Key: key, Delta: by}
	if c.do() {
		c.int(c.res.Int)
	}
}

func cmdIncrBy(c *conn, args [][]byte) {
	n, ok := parseInt(args[2])
	if !ok {
		c.fail(errInteger)
		return
	}
	c.incr(args[1], n)
}

func cmdDecrBy(c *conn, args [][]byte) {
	n, ok := parseInt(args[2])
	if !ok {
		c.fail(errInteger)
		return
	}
	if n == math.MinInt64 {
		c.fail("ERR decrement would overflow")
		return
	}
	c.incr(args[1], -n)
}

func cmdIncrByFloat(c *conn, args [][]byte) {
	c.op = Op{Kind: OpIncrByFloat, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[2]}
	if c.do() {
		c.out = resp.AppendBulk(c.out, c.res.Value)
	}
}
