package redis

import (
	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func objectCommand() *command {
	r := rightsRead
	sub := func(name, summary string, answer func(*conn, []byte, Usage)) *command {
		return &command{
			name: "object|" + name, arity: 3, flags: "readonly", first: 2, last: 2, step: 1, rights: r, summary: summary,
			run: func(c *conn, a [][]byte) { c.usage(a[2], answer) },
		}
	}
	return &command{
		name: "object", arity: -2, rights: r, summary: "A container for commands about how a value is kept.",
		subs: map[string]*command{
			"ENCODING": sub("encoding", "Names the form of a value.", (*conn).encoding),
			"FREQ":     sub("freq", "Returns the hits that keep a key from eviction.", func(c *conn, _ []byte, u Usage) { c.int(int64(u.Hits)) }),
			"IDLETIME": sub("idletime", "Says that no time of access is kept.", func(c *conn, _ []byte, _ Usage) { c.fail(errNoIdleTime) }),
			"REFCOUNT": sub("refcount", "Returns 1: values are not shared.", func(c *conn, _ []byte, _ Usage) { c.int(1) }),
			"HELP": {name: "object|help", arity: 2, flags: "loading stale", rights: r, summary: "Lists the subcommands.", run: func(c *conn, _ [][]byte) {
				c.help("OBJECT", "ENCODING key -- int, embstr or raw", "FREQ key -- hits that keep it from eviction, 3 at most", "REFCOUNT key -- 1",
					"IDLETIME key -- refused: no time of access is kept")
			}},
		},
	}
}

func memoryCommand() *command {
	r := rightsRead
	return &command{
		name: "memory", arity: -2, rights: r, summary: "A container for commands about memory.",
		subs: map[string]*command{
			"USAGE":  {name: "memory|usage", arity: -3, flags: "readonly", first: 2, last: 2, step: 1, rights: r, summary: "Returns the bytes that a key takes of the memory limit.", run: cmdMemoryUsage},
			"DOCTOR": {name: "memory|doctor", arity: 2, rights: r, wide: true, summary: "Says where to look.", run: cmdMemoryDoctor},
			"STATS":  {name: "memory|stats", arity: 2, rights: r, wide: true, summary: "Returns the memory of data and connections.", run: cmdMemoryStats},
			"MALLOC-STATS": {name: "memory|malloc-stats", arity: 2, rights: r, wide: true, summary: "Says that the allocator tells nothing.", run: func(c *conn, _ [][]byte) {
				c.out = resp.AppendBulk(c.out, "Stats not supported for the current allocator")
			}},
			"PURGE": {name: "memory|purge", arity: 2, rights: r, wide: true, summary: "Accepted and without effect: memory is given back by itself.", run: func(c *conn, _ [][]byte) { c.ok() }},
			"HELP": {name: "memory|help", arity: 2, flags: "loading stale", rights: r, summary: "Lists the subcommands.", run: func(c *conn, _ [][]byte) {
				c.help("MEMORY", "USAGE key [SAMPLES count] -- bytes that it takes of the memory limit", "STATS -- memory of data and connections", "DOCTOR -- where to look", "PURGE -- accepted, without effect")
			}},
		},
	}
}

const errNoIdleTime = "ERR idle time is not tracked: eviction counts hits, see OBJECT FREQ"

// usage answers what is known of a key beside its value, or null. Asking is no use of it.
func (c *conn) usage(key []byte, answer func(*conn, []byte, Usage)) {
	c.together(shardmap.SlotOf(key), false, func() {
		var value []byte
		var found, ok bool
		c.quietly(true, func() { value, found, ok = c.value(key) })
		switch {
		case !ok:
		case !found:
			c.null()
		default:
			answer(c, value, c.srv.backend.Usage(&c.sess, key))
		}
	})
}

// embeddedMax is the longest value, in bytes, that Redis keeps in one piece with its head.
const embeddedMax = 44

// encoding names the form that Redis gives a value when it is set. Ours are all kept
// the same way; clients that ask want to know whether a number is one.
func (c *conn) encoding(value []byte, _ Usage) {
	form := "raw"
	if _, ok := parseInt(value); ok {
		form = "int"
	} else if len(value) <= embeddedMax {
		form = "embstr"
	}
	c.out = resp.AppendBulk(c.out, form)
}

func cmdMemoryUsage(c *conn, args [][]byte) {
	for opts := args[3:]; len(opts) > 0; opts = opts[2:] {
		if !is(opts[0], "SAMPLES") || len(opts) < 2 {
			c.fail(errSyntax)
			return
		}
		switch n, ok := parseInt(opts[1]); {
		case !ok:
			c.fail(errInteger)
			return
		case n < 0:
			c.fail(errSyntax)
			return
		}
	}
	c.usage(args[2], func(c *conn, _ []byte, u Usage) { c.int(u.Bytes) })
}
