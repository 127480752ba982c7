package redis

import (
	"bytes"
	"math"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func keyCommands() []*command {
	w, r := rightsWrite, rightsRead
	return []*command{
		{name: "del", arity: -2, flags: "write", first: 1, last: -1, step: 1, rights: w, summary: "Deletes keys of one slot.", run: cmdDel},
		{name: "unlink", arity: -2, flags: "write fast", first: 1, last: -1, step: 1, rights: w, summary: "Deletes keys of one slot.", run: cmdDel},
		{name: "delifeq", arity: 3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Deletes a key that has the given value.", run: cmdDelIfEqual},
		{name: "delifver", arity: 3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Deletes a key that has the given version, and answers the version of the deletion.", run: cmdDelIfVersion},
		{name: "rename", arity: 3, flags: "write", first: 1, last: 2, step: 1, rights: w, summary: "Gives a value another key of its slot.", run: cmdRename},
		{name: "renamenx", arity: 3, flags: "write fast", first: 1, last: 2, step: 1, rights: w, summary: "Gives a value another key of its slot, if there is none.", run: cmdRenameNX},
		{name: "copy", arity: -3, flags: "write denyoom", first: 1, last: 2, step: 1, rights: w, summary: "Copies the value of a key to another key of its slot.", run: cmdCopy},
		{name: "dump", arity: 2, flags: "readonly", first: 1, last: 1, step: 1, rights: r, summary: "Returns a value in the form that RESTORE takes.", run: cmdDump},
		{name: "restore", arity: -4, flags: "write denyoom", first: 1, last: 1, step: 1, rights: w, summary: "Sets a key to what DUMP returned.", run: cmdRestore},
		{name: "exists", arity: -2, flags: "readonly fast", first: 1, last: -1, step: 1, rights: r, summary: "Counts which keys of one slot exist.", run: cmdExists},
		{name: "touch", arity: -2, flags: "readonly fast", first: 1, last: -1, step: 1, rights: r, summary: "Counts which keys of one slot exist, as a use of them.", run: cmdTouch},
		{name: "type", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the type of the value of a key.", run: cmdType},
		{name: "expire", arity: -3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Sets the expiration of a key in seconds.", run: expireCommand("expire", 1000, TTLRelative)},
		{name: "pexpire", arity: -3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Sets the expiration of a key in milliseconds.", run: expireCommand("pexpire", 1, TTLRelative)},
		{name: "expireat", arity: -3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Sets the expiration of a key to a unix time in seconds.", run: expireCommand("expireat", 1000, TTLAbsolute)},
		{name: "pexpireat", arity: -3, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Sets the expiration of a key to a unix time in milliseconds.", run: expireCommand("pexpireat", 1, TTLAbsolute)},
		{name: "ttl", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the time to live of a key in seconds.", run: func(c *conn, a [][]byte) { c.ttlLeft(a[1], 1000) }},
		{name: "pttl", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the time to live of a key in milliseconds.", run: func(c *conn, a [][]byte) { c.ttlLeft(a[1], 1) }},
		{name: "expiretime", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the expiration of a key as a unix time in seconds.", run: func(c *conn, a [][]byte) { c.deadline(a[1], 1000) }},
		{name: "pexpiretime", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the expiration of a key as a unix time in milliseconds.", run: func(c *conn, a [][]byte) { c.deadline(a[1], 1) }},
		{name: "persist", arity: 2, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Removes the expiration of a key.", run: cmdPersist},
	}
}

func cmdDel(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.atomically(shardmap.SlotOf(args[1]), len(args)-1, true, func() { c.deleteAll(args[1:]) })
	}
}

func (c *conn) deleteAll(keys [][]byte) {
	var n int64
	for _, k := range keys {
		c.op = Op{Kind: OpDel, Slot: shardmap.SlotOf(k), Key: k}
		if !c.do() {
			return
		}
		if c.res.Existed {
			n++
		}
	}
	c.int(n)
}

func cmdDelIfEqual(c *conn, args [][]byte) {
	c.together(shardmap.SlotOf(args[1]), true, func() { c.deleteIfEqual(args[1], args[2]) })
}

func (c *conn) deleteIfEqual(key, want []byte) {
	value, found, ok := c.value(key)
	switch {
	case !ok:
	case found && bytes.Equal(value, want):
		c.deleteAll([][]byte{key})
	default:
		c.bit(false)
	}
}

func cmdExists(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.atomically(shardmap.SlotOf(args[1]), len(args)-1, false, func() { c.countAll(args[1:], (*conn).exists) })
	}
}

func (c *conn) exists(key []byte) (found, ok bool) {
	st, ok := c.stat(key)
	return st.Found, ok
}

// cmdTouch is a hit of each key, also where CLIENT NO-TOUCH is on.
func cmdTouch(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.atomically(shardmap.SlotOf(args[1]), len(args)-1, false, func() {
			c.quietly(false, func() { c.countAll(args[1:], (*conn).hit) })
		})
	}
}

// quietly runs f, whose looks are hits or are none whatever the client wants of its own.
func (c *conn) quietly(quiet bool, f func()) {
	before := c.sess.Quiet
	c.sess.Quiet = quiet
	f()
	if !c.rerun { // else it is that of mark
		c.sess.Quiet = before
	}
}

func (c *conn) hit(key []byte) (found, ok bool) {
	_, found, ok = c.value(key)
	return found, ok
}

func (c *conn) countAll(keys [][]byte, look func(*conn, []byte) (found, ok bool)) {
	var n int64
	for _, k := range keys {
		found, ok := look(c, k)
		if !ok {
			return
		}
		if found {
			n++
		}
	}
	c.int(n)
}

func expireCommand(name string, unit int64, mode TTLMode) func(*conn, [][]byte) {
	return func(c *conn, args [][]byte) {
		c.op = Op{Kind: OpExpire, TTLMode: mode, Slot: shardmap.SlotOf(args[1]), Key: args[1]}
		if !c.expireOptions(args[3:]) {
			return
		}
		if c.readExpire(name, unit, mode, args[2]) && c.do() {
			c.int(c.res.Int)
		}
	}
}

// readExpire fills the time of an OpExpire.
func (c *conn) readExpire(name string, unit int64, mode TTLMode, arg []byte) bool {
	n, ok := parseInt(arg)
	switch {
	case !ok:
		c.fail(errInteger)
		return false
	case n > maxTime(unit, mode) || n < math.MinInt64/unit:
		c.fail("ERR invalid expire time in '" + name + "' command")
		return false
	}
	c.op.TTLMode, c.op.TTL = mode, n*unit
	return true
}

func (c *conn) expireOptions(opts [][]byte) bool {
	var nx, xx, gt, lt bool
	for _, o := range opts {
		switch {
		case is(o, "NX"):
			nx = true
		case is(o, "XX"):
			xx = true
		case is(o, "GT"):
			gt = true
		case is(o, "LT"):
			lt = true
		default:
			c.fail("ERR Unsupported option " + untilNUL(o))
			return false
		}
	}
	switch {
	case nx && (xx || gt || lt):
		c.fail("ERR NX and XX, GT or LT options at the same time are not compatible")
		return false
	case gt && lt:
		c.fail("ERR GT and LT options at the same time are not compatible")
		return false
	case nx:
		c.op.Cond = NX
	case gt: // GT alone never touches a key without deadline, so XX adds nothing
		c.op.Cond = GT
	case lt && xx:
		c.op.Cond = LTX
	case lt:
		c.op.Cond = LT
	case xx:
		c.op.Cond = XX
	}
	return true
}

func cmdType(c *conn, args [][]byte) {
	st, ok := c.stat(args[1])
	switch {
	case !ok:
	case st.Found:
		c.out = resp.AppendSimple(c.out, "string")
	default:
		c.out = resp.AppendSimple(c.out, "none")
	}
}

// ttlLeft answers how long a key has to live, in units of so many ms.
func (c *conn) ttlLeft(key []byte, unit int64) {
	c.time(key, unit, func(st Stat) int64 { return max(0, st.Deadline-st.Now) })
}

// deadline answers when a key expires, in units of so many ms.
func (c *conn) deadline(key []byte, unit int64) {
	c.time(key, unit, func(st Stat) int64 { return st.Deadline })
}

// time answers a time of a key, rounded as Redis rounds: -2 for no key, -1 for one
// that never expires.
func (c *conn) time(key []byte, unit int64, of func(Stat) int64) {
	st, ok := c.stat(key)
	switch {
	case !ok:
	case !st.Found:
		c.int(-2)
	case st.Deadline == 0:
		c.int(-1)
	default:
		c.int(int64((uint64(of(st)) + uint64(unit)/2) / uint64(unit))) // near the end of time the sum needs the 64th bit
	}
}

func cmdPersist(c *conn, args [][]byte) {
	c.op = Op{Kind: OpPersist, Slot: shardmap.SlotOf(args[1]), Key: args[1]}
	if c.do() {
		c.int(c.res.Int)
	}
}
