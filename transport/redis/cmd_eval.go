package redis

import (
	"crypto/sha1"
	"fmt"

	"github.com/baxromumarov/aegisKV/pkg/shardmap"
	"github.com/baxromumarov/aegisKV/transport/resp"
)

func evalCommands() []*command {
	w, any := rightsWrite, rightsConnection
	return []*command{
		{name: "eval", arity: -3, flags: "noscript stale skip_monitor no_mandatory_keys movablekeys", numkeys: 2, rights: w, summary: "Runs one of the scripts that lock libraries send.", run: cmdEval},
		{name: "evalsha", arity: -3, flags: "noscript stale skip_monitor no_mandatory_keys movablekeys", numkeys: 2, rights: w, summary: "Runs one of the scripts that lock libraries send, by its SHA-1.", run: cmdEvalSHA},
		{
			name: "script", arity: -2, rights: any, summary: "A container for commands about scripts.",
			subs: map[string]*command{
				"LOAD":   {name: "script|load", arity: 3, flags: "noscript stale", rights: any, summary: "Makes a built-in lock script known by its SHA-1.", run: cmdScriptLoad},
				"EXISTS": {name: "script|exists", arity: -3, flags: "noscript", rights: any, summary: "Says which scripts this node knows.", run: cmdScriptExists},
				"FLUSH":  {name: "script|flush", arity: -2, flags: "noscript", rights: any, summary: "Forgets all scripts.", run: cmdScriptFlush},
				"KILL": {name: "script|kill", arity: 2, flags: "noscript allow_busy", rights: any, summary: "Says that no script runs.", run: func(c *conn, _ [][]byte) {
					c.fail("NOTBUSY No scripts in execution right now.")
				}},
				"HELP": {name: "script|help", arity: 2, flags: "loading stale", rights: any, summary: "Lists the subcommands.", run: func(c *conn, _ [][]byte) {
					c.help("SCRIPT", "LOAD script -- make a built-in lock script known", "EXISTS sha1 [sha1 ...] -- which are known", "FLUSH -- forget them", "KILL -- none runs")
				}},
			},
		},
	}
}

const (
	errNotBuiltIn = "ERR EVAL supports only built-in lock scripts (compare and delete, compare and expire, set if absent): " +
		"programs are not run inside the cache. SET IFEQ, DELIFEQ and MULTI may do what this one is for"
	errNoScript = "NOSCRIPT No matching script. Please use EVAL."
)

func cmdEval(c *conn, args [][]byte) {
	c.evaluate(args, func() (*lockScript, string) {
		s, _ := c.srv.scripts.load(args[1])
		return s, errNotBuiltIn
	})
}

func cmdEvalSHA(c *conn, args [][]byte) {
	if len(args[1]) != 2*sha1.Size { // Redis looks at that before anything else
		c.fail(errNoScript)
		return
	}
	c.evaluate(args, func() (*lockScript, string) { return c.srv.scripts.find(args[1]), errNoScript })
}

// evaluate runs the script that find finds as one transaction on the slot of its keys.
func (c *conn) evaluate(args [][]byte, find func() (s *lockScript, otherwise string)) {
	n, ok := parseInt(args[2])
	rest := args[3:]
	if k := leadingInt(args[2]); k > 1 && k <= len(rest) && !c.oneSlot(rest[:k], 0, 1) {
		return // Redis looks where the keys are before it looks at the command
	}
	switch {
	case !ok:
		c.fail(errInteger)
		return
	case n > int64(len(rest)):
		c.fail("ERR Number of keys can't be greater than number of args")
		return
	case n < 0:
		c.fail("ERR Number of keys can't be negative")
		return
	}
	s, otherwise := find()
	keys, values := rest[:n], rest[n:]
	switch {
	case s == nil:
		c.fail(otherwise)
	case len(keys) == 0 || len(values) < s.args:
		c.fail(fmt.Sprintf("ERR this lock script takes a key and %d arguments", s.args))
	default:
		c.together(shardmap.SlotOf(keys[0]), true, func() { s.run(c, keys, values) })
	}
}

func cmdScriptLoad(c *conn, args [][]byte) {
	s, sum := c.srv.scripts.load(args[2])
	if s == nil {
		c.fail(errNotBuiltIn)
		return
	}
	c.out = resp.AppendBulk(c.out, sum)
}

func cmdScriptExists(c *conn, args [][]byte) {
	c.out = resp.AppendArray(c.out, len(args)-2)
	for _, sum := range args[2:] {
		c.bit(c.srv.scripts.find(sum) != nil)
	}
}

func cmdScriptFlush(c *conn, args [][]byte) {
	if len(args) > 3 || len(args) == 3 && !is(args[2], "SYNC") && !is(args[2], "ASYNC") {
		c.fail("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	c.srv.scripts.flush()
	c.ok()
}
