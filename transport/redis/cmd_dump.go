package redis

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func cmdDump(c *conn, args [][]byte) {
	value, found, ok := c.value(args[1])
	switch {
	case !ok:
	case found:
		c.out = resp.AppendBulk(c.out, appendDump(nil, value))
	default:
		c.null()
	}
}

// restore is what RESTORE was asked for.
type restore struct {
	key, ttl, payload []byte
	replace, absolute bool
}

func cmdRestore(c *conn, args [][]byte) {
	r := restore{key: args[1], ttl: args[2], payload: args[3]}
	if r.options(c, args[4:]) {
		c.together(shardmap.SlotOf(r.key), true, func() { r.run(c) })
	}
}

// options reads the words after the payload. IDLETIME and FREQ are checked and have
// no effect: what a key was worth to another server's eviction says nothing to ours.
func (r *restore) options(c *conn, opts [][]byte) bool {
	idle, freq := false, false
	for ; len(opts) > 0; opts = opts[1:] {
		switch o := opts[0]; {
		case is(o, "REPLACE"):
			r.replace = true
		case is(o, "ABSTTL"):
			r.absolute = true
		case is(o, "IDLETIME") && len(opts) > 1 && !freq:
			idle, opts = true, opts[1:]
			if n, ok := parseInt(opts[0]); !ok {
				c.fail(errInteger)
				return false
			} else if n < 0 {
				c.fail("ERR Invalid IDLETIME value, must be >= 0")
				return false
			}
		case is(o, "FREQ") && len(opts) > 1 && !idle:
			freq, opts = true, opts[1:]
			if n, ok := parseInt(opts[0]); !ok {
				c.fail(errInteger)
				return false
			} else if n < 0 || n > 255 {
				c.fail("ERR Invalid FREQ value, must be >= 0 and <= 255")
				return false
			}
		default:
			c.fail(errSyntax)
			return false
		}
	}
	return true
}

// run judges in the order of Redis: the key, the time, the payload.
func (r *restore) run(c *conn) {
	st, ok := c.stat(r.key)
	if !ok {
		return
	}
	ms, valid := parseInt(r.ttl)
	switch {
	case st.Found && !r.replace:
		c.fail("BUSYKEY Target key name already exists.")
		return
	case !valid:
		c.fail(errInteger)
		return
	case ms < 0:
		c.fail("ERR Invalid TTL value, must be >= 0")
		return
	}
	value, err := decodeDump(nil, r.payload, c.srv.backend.ValueBytesMax())
	if err != nil {
		c.failWith(err)
		return
	}
	c.op = Op{Kind: OpSet, Slot: shardmap.SlotOf(r.key), Key: r.key, Value: value}
	switch {
	case ms > 0 && r.absolute && ms <= st.Now: // it has expired: Redis does not set it at all
		c.op.Kind = OpDel
	case ms > 0 && r.absolute:
		c.op.TTLMode, c.op.TTL = TTLAbsolute, ms
	case ms > 0:
		c.op.TTLMode, c.op.TTL = TTLRelative, ms
	}
	if c.do() {
		c.ok()
	}
}
