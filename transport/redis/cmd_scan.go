package redis

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func scanCommands() []*command {
	r := rightsRead
	return []*command{
		{name: "scan", arity: -2, flags: "readonly", rights: r, wide: true, summary: "Iterates over the keys of the slots this node holds.", run: cmdScan},
		{name: "keys", arity: 2, flags: "readonly", rights: r, wide: true, summary: "Returns the keys of the slots this node holds that match a pattern.", run: cmdKeys},
		{name: "randomkey", arity: 1, flags: "readonly", rights: r, wide: true, summary: "Returns a random key of the slots this node holds.", run: cmdRandomKey},
		{name: "dbsize", arity: 1, flags: "readonly fast", rights: r, wide: true, summary: "Returns the number of keys in the slots this node holds.", run: cmdDBSize},
		{name: "flushall", arity: -1, flags: "write", rights: rightsWrite, wide: true, summary: "Removes all keys of the slots this node holds.", run: cmdFlushAll},
		{name: "flushdb", arity: -1, flags: "write", rights: rightsWrite, wide: true, summary: "Removes all keys of the slots this node holds; there is one database.", run: cmdFlushAll},
	}
}

// scan is what SCAN was asked for.
type scan struct {
	at    Cursor
	count int64
	match []byte // nil = all
	none  bool   // a type that no key has
}

func cmdScan(c *conn, args [][]byte) {
	s := scan{count: 10}
	if !c.scanOptions(&s, args) {
		return
	}
	keys := 0
	for left := s.count; ; {
		next, seen, ok := c.walk(s.at, int(min(left, 1<<20)), func(key []byte) {
			if s.wants(key) {
				c.out = resp.AppendBulk(c.out, key)
				keys++
			}
		})
		if !ok {
			return
		}
		s.at, left = next, left-int64(seen)
		if left <= 0 || s.at == 0 {
			break
		}
	}
	c.leadScan(&s, keys)
}

// leadScan completes the reply of SCAN, whose keys are there.
func (c *conn) leadScan(s *scan, keys int) {
	head := resp.AppendArray(nil, 2)
	head = resp.AppendBulk(head, strconv.FormatUint(uint64(s.at), 10))
	c.lead(resp.AppendArray(head, keys))
}

// wants reports that a key is among those that are asked for.
func (s *scan) wants(key []byte) bool { return !s.none && (s.match == nil || globs(s.match, key)) }

// lead puts what was not known before in front of the reply.
func (c *conn) lead(b []byte) {
	at := c.replyAt
	c.out = append(c.out, b...)
	copy(c.out[at+len(b):], c.out[at:len(c.out)-len(b)])
	copy(c.out[at:], b)
}

// walk takes one step over the node's keys and says how many it has seen. A shard is
// held for about a hundred keys at a time, so that no command waits long behind one that
// is about all of them.
func (c *conn) walk(at Cursor, n int, yield func(key []byte)) (next Cursor, seen int, ok bool) {
	err := c.retry(func() (err error) {
		next, err = c.srv.backend.Walk(&c.sess, at, n, func(key []byte) {
			seen++
			yield(key)
		})
		return err
	})
	if err != nil {
		c.failWith(err)
		return 0, seen, false
	}
	return next, seen, c.roomy()
}

// roomy is false when the reply became too long to be kept, and the client is closed.
func (c *conn) roomy() bool {
	if len(c.out)-c.replyAt <= replyMax || c.fits(c.rd.Size()) {
		return true
	}
	c.out, c.quit = c.out[:0], true
	return false
}

// scanOptions reads cursor and options. As in Redis the cursor is what C's strtoul takes.
func (c *conn) scanOptions(s *scan, args [][]byte) bool {
	at, ok := parseCursor(args[1])
	if !ok {
		c.fail("ERR invalid cursor")
		return false
	}
	s.at = at
	for opts := args[2:]; len(opts) > 0; opts = opts[2:] {
		switch o := opts[0]; {
		case len(opts) < 2:
			c.fail(errSyntax)
			return false
		case is(o, "COUNT"):
			if s.count, ok = parseInt(opts[1]); !ok {
				c.fail(errInteger)
				return false
			}
			if s.count < 1 {
				c.fail(errSyntax)
				return false
			}
		case is(o, "MATCH"):
			s.match = opts[1]
			if string(s.match) == "*" {
				s.match = nil
			}
		case is(o, "TYPE"):
			s.none = !bytes.EqualFold(opts[1], []byte("string"))
		default:
			c.fail(errSyntax)
			return false
		}
	}
	return true
}

// parseCursor takes what C's strtoul takes whole: nothing at all is 0, and a minus
// wraps around, to a place where no keys are.
func parseCursor(b []byte) (Cursor, bool) {
	text := string(b)
	if text == "" {
		return 0, true
	}
	digits := text
	if text[0] == '+' || text[0] == '-' {
		digits = text[1:]
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || strings.ContainsAny(digits, "+-_") {
		return 0, false
	}
	if text[0] == '-' {
		n = -n
	}
	return Cursor(n), true
}

// keysStep is how many keys KEYS asks for at a time.
const keysStep = 1024

func cmdKeys(c *conn, args [][]byte) {
	n := 0
	all := string(args[1]) == "*"
	for at := Cursor(0); ; {
		next, _, ok := c.walk(at, keysStep, func(key []byte) {
			if all || globs(args[1], key) {
				c.out = resp.AppendBulk(c.out, key)
				n++
			}
		})
		if !ok {
			return
		}
		if at = next; at == 0 {
			break
		}
	}
	c.lead(resp.AppendArray(nil, n))
}

func cmdRandomKey(c *conn, _ [][]byte) {
	var key []byte
	var found bool
	err := c.retry(func() (err error) {
		key, found, err = c.srv.backend.RandomKey(&c.sess)
		return err
	})
	switch {
	case err != nil:
		c.failWith(err)
	case found:
		c.out = resp.AppendBulk(c.out, key)
	default:
		c.null()
	}
}

func cmdDBSize(c *conn, _ [][]byte) {
	var n int64
	err := c.retry(func() (err error) { n, err = c.srv.backend.Size(&c.sess); return err })
	if err != nil {
		c.failWith(err)
		return
	}
	c.int(n)
}

func cmdFlushAll(c *conn, args [][]byte) {
	if !c.flushMode(args) {
		return
	}
	err := c.retry(func() error {
		n, err := c.srv.backend.FlushAll(&c.sess)
		c.applied += n
		return err
	})
	if err != nil {
		c.failWith(err)
		return
	}
	c.ok()
}

// flushMode takes SYNC and ASYNC, which are the same here.
func (c *conn) flushMode(args [][]byte) bool {
	if len(args) > 2 || (len(args) == 2 && !is(args[1], "SYNC") && !is(args[1], "ASYNC")) {
		c.fail(errSyntax)
		return false
	}
	return true
}

// eachInSlot visits the keys of a slot: those of its shard, looked at one by one, as long
// as yield says so.
func (c *conn) eachInSlot(slot shardmap.Slot, yield func(key []byte) bool) bool {
	shard := c.srv.backend.Map().Layout().ShardOf(slot)
	more := true
	for at := CursorAt(shard, 0); ; {
		next, _, ok := c.walk(at, keysStep, func(key []byte) {
			more = more && (shardmap.SlotOf(key) != slot || yield(key))
		})
		if !ok {
			return false
		}
		if at = next; !more || at == 0 || at.Shard() != shard {
			return true
		}
	}
}

func cmdCountKeysInSlot(c *conn, args [][]byte) {
	slot, ok := parseInt(args[2])
	switch {
	case !ok:
		c.fail(errInteger)
		return
	case slot < 0 || slot >= shardmap.Slots:
		c.fail("ERR Invalid slot")
		return
	}
	n := int64(0)
	if c.eachInSlot(shardmap.Slot(slot), func([]byte) bool { n++; return true }) {
		c.int(n)
	}
}

func cmdGetKeysInSlot(c *conn, args [][]byte) {
	slot, ok1 := parseInt(args[2])
	count, ok2 := parseInt(args[3])
	switch {
	case !ok1 || !ok2:
		c.fail(errInteger)
		return
	case slot < 0 || slot >= shardmap.Slots || count < 0:
		c.fail("ERR Invalid slot or number of keys")
		return
	}
	n := int64(0)
	if c.eachInSlot(shardmap.Slot(slot), func(key []byte) bool {
		if n < count {
			c.out = resp.AppendBulk(c.out, key)
			n++
		}
		return n < count
	}) {
		c.lead(resp.AppendArray(nil, int(n)))
	}
}
