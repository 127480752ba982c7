package redis

import (
	"bytes"
	"math"
	"time"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

const (
	errSyntax  = "ERR syntax error"
	errInteger = "ERR value is not an integer or out of range"

	keyBytesMax = 64 << 10 // as statemachine.KeyBytesMax

	// replyMax is when the reply of one command starts to be counted as it grows.
	replyMax = 1 << 20
)

func stringCommands() []*command {
	w, r := rightsWrite, rightsRead
	return []*command{
		{name: "get", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the string value of a key.", run: cmdGet},
		{name: "set", arity: -3, flags: "write denyoom", first: 1, last: 1, step: 1, rights: w, summary: "Sets the string value of a key; a bare third argument is a TTL in milliseconds.", run: cmdSet},
		{name: "setnx", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Sets the string value of a key that does not exist.", run: cmdSetNX},
		{name: "setex", arity: 4, flags: "write denyoom", first: 1, last: 1, step: 1, rights: w, summary: "Sets the string value and the expiration in seconds of a key.", run: setTimed("setex", "EX")},
		{name: "psetex", arity: 4, flags: "write denyoom", first: 1, last: 1, step: 1, rights: w, summary: "Sets the string value and the expiration in milliseconds of a key.", run: setTimed("psetex", "PX")},
		{name: "getset", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Returns the value of a key after setting a new one.", run: cmdGetSet},
		{name: "getdel", arity: 2, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Returns the value of a key after deleting it.", run: cmdGetDel},
		{name: "getex", arity: -2, flags: "write fast", first: 1, last: 1, step: 1, rights: w, summary: "Returns the value of a key after setting its expiration time.", run: cmdGetEx},
		{name: "mget", arity: -2, flags: "readonly fast", first: 1, last: -1, step: 1, rights: r, summary: "Returns the values of keys of one slot.", run: cmdMGet},
		{name: "mset", arity: -3, flags: "write denyoom", first: 1, last: -1, step: 2, rights: w, summary: "Sets keys of one slot.", run: cmdMSet},
		{name: "msetnx", arity: -3, flags: "write denyoom", first: 1, last: -1, step: 2, rights: w, summary: "Sets keys of one slot if none of them exists.", run: cmdMSetNX},
		{name: "lcs", arity: -3, flags: "readonly", first: 1, last: 2, step: 1, rights: r, summary: "Finds the longest common subsequence of the values of two keys of one slot.", run: cmdLCS},
		{name: "strlen", arity: 2, flags: "readonly fast", first: 1, last: 1, step: 1, rights: r, summary: "Returns the length of a value.", run: cmdStrLen},
		{name: "append", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Appends to the value of a key.", run: cmdAppend},
		{name: "getrange", arity: 4, flags: "readonly", first: 1, last: 1, step: 1, rights: r, summary: "Returns a part of the value of a key.", run: cmdGetRange},
		{name: "substr", arity: 4, flags: "readonly", first: 1, last: 1, step: 1, rights: r, summary: "Returns a part of the value of a key (the old name of GETRANGE).", run: cmdGetRange},
		{name: "setrange", arity: 4, flags: "write denyoom", first: 1, last: 1, step: 1, rights: w, summary: "Overwrites a part of the value of a key.", run: cmdSetRange},
		{name: "incr", arity: 2, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Increments a number by one.", run: func(c *conn, a [][]byte) { c.incr(a[1], 1) }},
		{name: "decr", arity: 2, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Decrements a number by one.", run: func(c *conn, a [][]byte) { c.incr(a[1], -1) }},
		{name: "incrby", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Increments a number.", run: cmdIncrBy},
		{name: "decrby", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Decrements a number.", run: cmdDecrBy},
		{name: "incrbyfloat", arity: 3, flags: "write denyoom fast", first: 1, last: 1, step: 1, rights: w, summary: "Increments a number by one with a fraction.", run: cmdIncrByFloat},
	}
}

func cmdGet(c *conn, args [][]byte) {
	if found, ok := c.get(args[1]); ok && !found {
		c.null()
	}
}

// cmdSet also takes SPEC.md's form: SET key value ttl-in-milliseconds.
func cmdSet(c *conn, args [][]byte) {
	c.op = Op{Kind: OpSet, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[2]}
	c.compares, c.versioned = false, false
	if len(args) == 4 {
		if ms, ok := parseInt(args[3]); ok {
			if ms <= 0 || ms > maxTime(1, TTLRelative) {
				c.fail("ERR invalid expire time in 'set' command")
				return
			}
			c.op.TTLMode, c.op.TTL = TTLRelative, ms
			c.runSet()
			return
		}
	}
	if !c.setOptions(args[3:]) {
		return
	}
	c.runSet()
}

// runSet runs a prepared SET and writes its reply: OK, null, or the old value.
func (c *conn) runSet() {
	switch {
	case c.compares:
		c.together(c.op.Slot, true, c.setIfEqual)
	case c.versioned:
		c.together(c.op.Slot, true, c.setIfVersion)
	default:
		c.set()
	}
}

// setIfEqual is SET with IFEQ.
func (c *conn) setIfEqual() {
	value, found, ok := c.value(c.op.Key)
	switch {
	case !ok:
	case found && bytes.Equal(value, c.compare):
		c.set()
	case found && c.op.WithOld:
		c.out = resp.AppendBulk(c.out, value)
	default:
		c.null()
	}
}

func (c *conn) set() {
	if !c.do() {
		return
	}
	switch {
	case c.op.WithOld && c.res.Existed:
		c.out = resp.AppendBulk(c.out, c.res.Value)
	case c.op.WithOld || !c.res.Changed:
		c.null()
	default:
		c.ok()
	}
}

// setOptions reads the options of SET. As in Redis the words are judged first,
// and the time after them.
func (c *conn) setOptions(opts [][]byte) bool {
	var word, arg []byte
	keep := false
	for i := 0; i < len(opts); i++ {
		switch o := opts[i]; {
		case is(o, "NX") && c.op.Cond != XX && !c.compares && !c.versioned:
			c.op.Cond = NX
		case is(o, "XX") && c.op.Cond != NX && !c.compares && !c.versioned:
			c.op.Cond = XX
		case is(o, "IFEQ") && i+1 < len(opts) && c.op.Cond == Always && !c.compares && !c.versioned:
			c.compares, c.compare = true, opts[i+1]
			i++
		case is(o, "IFVER") && i+1 < len(opts) && c.op.Cond == Always && !c.compares && !c.op.WithOld:
			c.versioned, c.compare = true, opts[i+1]
			i++
		case is(o, "GET") && !c.versioned:
			c.op.WithOld = true
		case is(o, "KEEPTTL") && word == nil:
			keep = true
		case i+1 < len(opts) && !keep && isTTLWord(o) && (word == nil || sameWord(o, word)):
			word, arg = o, opts[i+1]
			i++
		default:
			c.fail(errSyntax)
			return false
		}
	}
	if keep {
		c.op.TTLMode = TTLKeep
	}
	return word == nil || c.ttl("set", word, arg)
}

func isTTLWord(o []byte) bool { return is(o, "EX") || is(o, "PX") || is(o, "EXAT") || is(o, "PXAT") }

// sameWord: Redis lets one TTL option be said twice; the last counts.
func sameWord(a, b []byte) bool { return bytes.EqualFold(a, b) }

// ttl fills the op's TTL from EX, PX, EXAT or PXAT, or answers what is wrong with it.
func (c *conn) ttl(name string, word, arg []byte) bool {
	wrong := c.readTTL(name, word, arg)
	if wrong != "" {
		c.fail(wrong)
	}
	return wrong == ""
}

// readTTL is ttl that leaves the answer to its caller. A time that is not positive or
// overflows is refused as Redis does.
func (c *conn) readTTL(name string, word, arg []byte) (wrong string) {
	n, ok := parseInt(arg)
	if !ok {
		return errInteger
	}
	unit := int64(1)
	if is(word, "EX") || is(word, "EXAT") {
		unit = 1000
	}
	mode := TTLRelative
	if is(word, "EXAT") || is(word, "PXAT") {
		mode = TTLAbsolute
	}
	if n <= 0 || n > maxTime(unit, mode) {
		return "ERR invalid expire time in '" + name + "' command"
	}
	c.op.TTLMode, c.op.TTL = mode, n*unit
	return ""
}

// maxTime is the largest number of units that neither overflows in milliseconds
// nor, counted from now, passes the end of time.
func maxTime(unit int64, mode TTLMode) int64 {
	if mode == TTLRelative {
		return (math.MaxInt64 - time.Now().UnixMilli()) / unit
	}
	return math.MaxInt64 / unit
}

func cmdSetNX(c *conn, args [][]byte) {
	c.op = Op{Kind: OpSet, Cond: NX, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[2]}
	if c.do() {
		c.bit(c.res.Changed)
	}
}

// setTimed is SETEX and PSETEX; word is the option of SET that says the same.
func setTimed(name, word string) func(*conn, [][]byte) {
	return func(c *conn, args [][]byte) {
		c.op = Op{Kind: OpSet, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[3]}
		if c.ttl(name, []byte(word), args[2]) {
			c.set()
		}
	}
}

func cmdGetSet(c *conn, args [][]byte) {
	c.op = Op{Kind: OpSet, WithOld: true, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[2]}
	c.replyOld()
}

func cmdGetDel(c *conn, args [][]byte) {
	c.op = Op{Kind: OpGetDel, Slot: shardmap.SlotOf(args[1]), Key: args[1]}
	c.replyOld()
}

func (c *conn) replyOld() {
	if !c.do() {
		return
	}
	if c.res.Existed {
		c.out = resp.AppendBulk(c.out, c.res.Value)
	} else {
		c.null()
	}
}

func cmdGetEx(c *conn, args [][]byte) {
	c.op = Op{Kind: OpGetEx, TTLMode: TTLKeep, Slot: shardmap.SlotOf(args[1]), Key: args[1]}
	var word, arg []byte
	persist := false
	for opts := args[2:]; len(opts) > 0; opts = opts[1:] {
		switch o := opts[0]; {
		case is(o, "PERSIST") && word == nil:
			persist = true
		case len(opts) > 1 && !persist && isTTLWord(o) && (word == nil || sameWord(o, word)):
			word, arg = o, opts[1]
			opts = opts[1:]
		default:
			c.fail(errSyntax)
			return
		}
	}
	if persist {
		c.op.TTLMode = TTLClear
	}
	if word != nil {
		if wrong := c.readTTL("getex", word, arg); wrong != "" {
			c.failIfFound(args[1], wrong)
			return
		}
	}
	c.replyOld()
}

// failIfFound answers what is wrong with a time, which Redis looks at only when the
// key is there.
func (c *conn) failIfFound(key []byte, wrong string) {
	st, ok := c.stat(key)
	switch {
	case !ok:
	case st.Found:
		c.fail(wrong)
	default:
		c.null()
	}
}

func cmdMGet(c *conn, args [][]byte) {
	if c.oneSlot(args, 1, 1) {
		c.atomically(shardmap.SlotOf(args[1]), len(args)-1, false, func() { c.getAll(args[1:]) })
	}
}

func (c *conn) getAll(keys [][]byte) {
	c.out = resp.AppendArray(c.out, len(keys))
	for _, k := range keys {
		found, ok := c.get(k)
		if !ok {
			return
		}
		if !found {
			c.null()
		}
		if len(c.out)-c.replyAt > replyMax && !c.fits(c.rd.Size()) {
			c.out, c.quit = c.out[:0], true
			return
		}
	}
}

func cmdMSet(c *conn, args [][]byte) {
	if c.pairs("mset", args) {
		c.atomically(shardmap.SlotOf(args[1]), len(args)/2, true, func() {
			if c.setAll(args) {
				c.ok()
			}
		})
	}
}

func cmdMSetNX(c *conn, args [][]byte) {
	if c.pairs("msetnx", args) {
		c.together(shardmap.SlotOf(args[1]), true, func() { c.setAllNew(args) })
	}
}

// setAllNew sets every key of MSETNX, or none if one of them is there.
func (c *conn) setAllNew(args [][]byte) {
	for i := 1; i < len(args); i += 2 {
		st, ok := c.stat(args[i])
		if !ok {
			return
		}
		if st.Found {
			c.bit(false)
			return
		}
	}
	if c.setAll(args) {
		c.bit(true)
	}
}

// pairs checks the keys and values of MSET, their slot before their number, as Redis does.
func (c *conn) pairs(name string, args [][]byte) bool {
	if !c.oneSlot(args, 1, 2) {
		return false
	}
	if len(args)%2 == 0 {
		c.fail("ERR wrong number of arguments for '" + name + "' command")
		return false
	}
	return c.fitting(args)
}

// fitting checks keys and values before the first of them is set.
func (c *conn) fitting(args [][]byte) bool {
	for i := 1; i < len(args); i += 2 {
		switch {
		case int64(len(args[i+1])) > c.srv.backend.ValueBytesMax():
			c.failWith(ErrTooLarge)
			return false
		case len(args[i]) > keyBytesMax:
			c.fail("ERR key larger than 64 KiB")
			return false
		}
	}
	return true
}

// setAll sets every key of MSET; it reports whether a reply must still be written.
func (c *conn) setAll(args [][]byte) bool {
	for i := 1; i < len(args); i += 2 {
		c.op = Op{Kind: OpSet, Slot: shardmap.SlotOf(args[i]), Key: args[i], Value: args[i+1]}
		if !c.do() {
			return false
		}
	}
	return true
}

func cmdStrLen(c *conn, args [][]byte) {
	if value, _, ok := c.value(args[1]); ok {
		c.int(int64(len(value)))
	}
}

func cmdAppend(c *conn, args [][]byte) {
	c.op = Op{Kind: OpAppend, Slot: shardmap.SlotOf(args[1]), Key: args[1], Value: args[2]}
	if c.do() {
		c.int(c.res.Int)
	}
}
