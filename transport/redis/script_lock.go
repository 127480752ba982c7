package redis

import (
	"bytes"
	"math"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
)

// lockScripts are the scripts that lock libraries send (redsync, bsm/redislock,
// redis-py, redlock for Node, Laravel, Spring Integration, and the one on Redis's own
// page about SET), by their canonical form.
var lockScripts = func() map[string]*lockScript {
	known := make(map[string]*lockScript)
	add := func(s *lockScript, texts ...string) {
		for _, t := range texts {
			known[canonical(t)] = s
		}
	}
	// What is done with a key that holds ARGV[1], in the usual two ways to write it.
	ifHeld := func(s *lockScript, call string) {
		cond := "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call(" + call + ")"
		add(s, cond+" else return 0 end", cond+" end return 0")
	}
	ifHeld(&lockScript{1, release(0, 0)}, "'del', KEYS[1]")
	ifHeld(&lockScript{1, release(0, 0)}, "'unlink', KEYS[1]")
	ifHeld(&lockScript{2, extend("pexpire", 1)}, "'pexpire', KEYS[1], ARGV[2]")
	ifHeld(&lockScript{2, extend("expire", 1000)}, "'expire', KEYS[1], ARGV[2]")
	add(&lockScript{1, leftIfHeld}, "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pttl', KEYS[1]) else return -3 end")
	add(&lockScript{1, release(0, -1)},
		"local v = redis.call('get', KEYS[1]) if v == ARGV[1] then return redis.call('del', KEYS[1]) elseif v == false then return -1 else return 0 end")
	add(&lockScript{1, release(0, 0)},
		"local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return 0 end redis.call('del', KEYS[1]) return 1")
	add(&lockScript{2, reacquire},
		"local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return 0 end redis.call('pexpire', KEYS[1], ARGV[2]) return 1")
	add(&lockScript{3, prolong},
		"local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return 0 end"+
			" local e = redis.call('pttl', KEYS[1]) if not e then e = 0 end if e < 0 then return 0 end"+
			" local n = ARGV[2] if ARGV[3] == '0' then n = ARGV[2] + e end redis.call('pexpire', KEYS[1], n) return 1")
	add(&lockScript{2, extendOrTake},
		"if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2])"+
			" elseif redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2], 'nx') then return 1 else return 0 end")
	add(&lockScript{2, obtain},
		"local v = redis.call('get', KEYS[1]) if v == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return true"+
			" elseif not v then redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return true end return false")
	for _, verb := range []string{"del", "unlink"} {
		add(&lockScript{1, releaseOrNull},
			"local v = redis.call('get', KEYS[1]) if v == ARGV[1] then redis.call('"+verb+"', KEYS[1]) return true end return false",
			"if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('"+verb+"', KEYS[1]) return true end return false")
	}
	add(&lockScript{2, addTimed}, "return redis.call('exists', KEYS[1]) < 1 and redis.call('setex', KEYS[1], ARGV[2], ARGV[1])")
	add(&lockScript{3, takeByPrefix},
		"if redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[3]) then return redis.status_reply('ok') end local n = tonumber(ARGV[2])"+
			" if redis.call('getrange', KEYS[1], 0, n-1) == string.sub(ARGV[1], 1, n) then return redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[3]) end")
	setAll := " for i, k in ipairs(KEYS) do redis.call('set', k, ARGV[1], 'px', ARGV[2]) end return #KEYS"
	add(&lockScript{2, setAllIf((*conn).noneExists)},
		"for i, k in ipairs(KEYS) do if redis.call('exists', k) == 1 then return 0 end end"+setAll)
	add(&lockScript{2, setAllIf((*conn).allHeld)},
		"for i, k in ipairs(KEYS) do if redis.call('get', k) ~= ARGV[1] then return 0 end end"+setAll)
	add(&lockScript{1, releaseAll},
		"local n = 0 for i, k in ipairs(KEYS) do if redis.call('get', k) == ARGV[1] then redis.pcall('del', k) n = n + 1 end end return n")
	return known
}()

// holds says whether a key is there and has the token of the asking owner.
func (c *conn) holds(key, token []byte) (held, found, ok bool) {
	value, found, ok := c.value(key)
	return found && bytes.Equal(value, token), found, ok
}

func (c *conn) remove(key []byte) bool {
	c.op = Op{Kind: OpDel, Slot: shardmap.SlotOf(key), Key: key}
	return c.do()
}

// put sets a key with the time of PX or EX.
func (c *conn) put(name, word string, key, value, arg []byte) bool {
	c.op = Op{Kind: OpSet, Slot: shardmap.SlotOf(key), Key: key, Value: value}
	return c.ttl(name, []byte(word), arg) && c.do()
}

// expireIn changes the deadline of a key.
func (c *conn) expireIn(name string, unit int64, key, arg []byte) bool {
	c.op = Op{Kind: OpExpire, Slot: shardmap.SlotOf(key), Key: key}
	return c.readExpire(name, unit, TTLRelative, arg) && c.do()
}

// release deletes a held key. other is answered when another owner holds it, absent
// when nobody does.
func release(other, absent int64) func(*conn, [][]byte, [][]byte) {
	return func(c *conn, keys, args [][]byte) {
		held, found, ok := c.holds(keys[0], args[0])
		switch {
		case !ok:
		case held:
			if c.remove(keys[0]) {
				c.int(1)
			}
		case found:
			c.int(other)
		default:
			c.int(absent)
		}
	}
}

func releaseOrNull(c *conn, keys, args [][]byte) {
	held, _, ok := c.holds(keys[0], args[0])
	switch {
	case !ok:
	case !held:
		c.null()
	case c.remove(keys[0]):
		c.int(1)
	}
}

func extend(name string, unit int64) func(*conn, [][]byte, [][]byte) {
	return func(c *conn, keys, args [][]byte) {
		held, _, ok := c.holds(keys[0], args[0])
		switch {
		case !ok:
		case !held:
			c.int(0)
		case c.expireIn(name, unit, keys[0], args[1]):
			c.int(c.res.Int)
		}
	}
}

func reacquire(c *conn, keys, args [][]byte) { extend("pexpire", 1)(c, keys, args) }

func leftIfHeld(c *conn, keys, args [][]byte) {
	held, _, ok := c.holds(keys[0], args[0])
	switch {
	case !ok:
	case held:
		c.ttlLeft(keys[0], 1)
	default:
		c.int(-3)
	}
}

// prolong adds time to what a key has, or replaces it when the third argument is not 0.
// A key that never expires stays so.
func prolong(c *conn, keys, args [][]byte) {
	held, _, ok := c.holds(keys[0], args[0])
	if !ok {
		return
	}
	st, ok := c.stat(keys[0])
	if !ok {
		return
	}
	if !held || st.Deadline == 0 {
		c.int(0)
		return
	}
	by, valid := parseInt(args[1])
	left := max(0, st.Deadline-st.Now)
	switch {
	case !valid:
		c.fail(errInteger)
		return
	case string(args[2]) != "0":
	case by > math.MaxInt64-left:
		c.fail("ERR invalid expire time in 'pexpire' command")
		return
	default:
		by += left
	}
	if by > maxTime(1, TTLRelative) {
		c.fail("ERR invalid expire time in 'pexpire' command")
		return
	}
	c.op = Op{Kind: OpExpire, TTLMode: TTLRelative, Slot: shardmap.SlotOf(keys[0]), Key: keys[0], TTL: by}
	if c.do() {
		c.int(1)
	}
}

// extendOrTake extends a held key and takes one that nobody holds.
func extendOrTake(c *conn, keys, args [][]byte) {
	held, found, ok := c.holds(keys[0], args[0])
	switch {
	case !ok:
	case held:
		if c.expireIn("pexpire", 1, keys[0], args[1]) {
			c.int(c.res.Int)
		}
	case !c.timeIsValid("set", "PX", args[1]):
	case found:
		c.int(0)
	default:
		if c.put("set", "PX", keys[0], args[0], args[1]) {
			c.int(1)
		}
	}
}

// timeIsValid answers what is wrong with a time that may not be needed.
func (c *conn) timeIsValid(name, word string, arg []byte) bool {
	c.op = Op{}
	return c.ttl(name, []byte(word), arg)
}

// obtain is extendOrTake as Spring writes it: 1 or null.
func obtain(c *conn, keys, args [][]byte) {
	held, found, ok := c.holds(keys[0], args[0])
	done := false
	switch {
	case !ok:
	case held:
		done = c.expireIn("pexpire", 1, keys[0], args[1])
	case found:
		c.null()
	default:
		done = c.put("set", "PX", keys[0], args[0], args[1])
	}
	if done {
		c.int(1)
	}
}

// addTimed sets a key that is not there, with its seconds.
func addTimed(c *conn, keys, args [][]byte) {
	st, ok := c.stat(keys[0])
	switch {
	case !ok:
	case st.Found:
		c.null()
	case c.put("setex", "EX", keys[0], args[0], args[1]):
		c.ok()
	}
}

// takeByPrefix sets a key that is not there or that begins as the new value does, over
// as many bytes as the second argument says: the rest of it is no part of the owner.
func takeByPrefix(c *conn, keys, args [][]byte) {
	n, valid := parseInt(args[1])
	value, found, ok := c.value(keys[0])
	switch {
	case !ok:
	case !c.timeIsValid("set", "PX", args[2]):
	case found && (!valid || n < 0):
		c.fail(errInteger)
	case found && !bytes.Equal(cut(value, 0, n-1), args[0][:min(n, int64(len(args[0])))]):
		c.null()
	case c.put("set", "PX", keys[0], args[0], args[2]):
		c.ok()
	}
}

// setAllIf sets all keys to the token when the condition holds, and counts them.
func setAllIf(cond func(c *conn, keys [][]byte, token []byte) (yes, ok bool)) func(*conn, [][]byte, [][]byte) {
	return func(c *conn, keys, args [][]byte) {
		yes, ok := cond(c, keys, args[0])
		if !ok {
			return
		}
		if !yes {
			c.int(0)
			return
		}
		for _, k := range keys {
			if !c.put("set", "PX", k, args[0], args[1]) {
				return
			}
		}
		c.int(int64(len(keys)))
	}
}

func (c *conn) noneExists(keys [][]byte, _ []byte) (yes, ok bool) {
	for _, k := range keys {
		if st, ok := c.stat(k); !ok || st.Found {
			return false, ok
		}
	}
	return true, true
}

func (c *conn) allHeld(keys [][]byte, token []byte) (yes, ok bool) {
	for _, k := range keys {
		if held, _, ok := c.holds(k, token); !ok || !held {
			return false, ok
		}
	}
	return true, true
}

func releaseAll(c *conn, keys, args [][]byte) {
	var n int64
	for _, k := range keys {
		held, _, ok := c.holds(k, args[0])
		if !ok || held && !c.remove(k) {
			return
		}
		if held {
			n++
		}
	}
	c.int(n)
}
