package redis

import (
	"strings"

	"github.com/baxromumarov/aegisKV/transport/resp"
)

func aegisCommands() []*command {
	return []*command{
		{name: "aegis.durability", arity: -1, flags: "loading stale fast", rights: rightsConnection, summary: "Asks or sets this connection's ack level: async, majority, all.", run: cmdDurability},
		{name: "aegis.token", arity: 1, flags: "fast", wide: true, rights: rightsConnection, summary: "Names the newest write of this connection in each shard.", run: cmdToken},
		{name: "aegis.check", arity: 2, flags: "", wide: true, rights: rightsConnection, summary: "Judges a token: durable, pending, lost or unknown, shard by shard.", run: cmdCheck},
		{name: "aegis.admin", arity: -2, flags: "admin loading stale", wide: true, rights: rightsAdmin, summary: "Runs an operator's command; answers JSON.", run: cmdAdmin},
		{name: "aegis.scan", arity: -2, flags: "readonly", rights: rightsRead, wide: true, summary: "For gateways: SCAN from a shard that this node holds as far as it holds the next ones.", run: cmdStep},
		{name: "aegis.count", arity: 2, flags: "readonly fast", rights: rightsRead, wide: true, summary: "For gateways: returns the number of keys in a shard.", run: cmdCount},
		{name: "aegis.flush", arity: 2, flags: "write", rights: rightsWrite, wide: true, summary: "For gateways: removes all keys of a shard.", run: cmdFlushShard},
		{name: "aegis.look", arity: -2, flags: "readonly fast", first: 1, last: -1, step: 1, rights: rightsRead, summary: "For gateways: says what keys of one slot are, in numbers for AEGIS.IF.", run: cmdLook},
		{name: "aegis.if", arity: -5, flags: "fast", first: 1, last: -1, step: 4, rights: rightsConnection, atOnce: true, summary: "For gateways: within MULTI, lets EXEC run only if keys are what AEGIS.LOOK said.", run: cmdIf},
		{name: "aegis.held", arity: 4, flags: "fast", rights: rightsConnection, wide: true, summary: "For gateways: says how many followers hold a shard, under the lease of an epoch, up to a version.", run: cmdHeld},
		{name: "aegis.map", arity: -1, flags: "loading stale fast", rights: rightsCluster, summary: "Returns the routing map, or null to who has that epoch of it.", run: cmdMap},
	}
}

func cmdDurability(c *conn, args [][]byte) {
	if len(args) > 2 {
		c.fail(errSyntax)
		return
	}
	level := ""
	if len(args) == 2 {
		level = strings.ToLower(string(args[1]))
	}
	level, err := c.srv.backend.SetLevel(&c.sess, level)
	if err != nil {
		c.failWith(err)
		return
	}
	c.out = resp.AppendBulk(c.out, level)
}

func cmdToken(c *conn, _ [][]byte) { c.out = resp.AppendBulk(c.out, c.srv.backend.Token(&c.sess, nil)) }

// cmdCheck answers an array of [shard, version, verdict].
func cmdCheck(c *conn, args [][]byte) {
	verdicts, err := c.srv.backend.Check(&c.sess, string(args[1]))
	if err != nil {
		c.failWith(err)
		return
	}
	c.verdicts(verdicts)
}

func (c *conn) verdicts(all []Verdict) {
	c.out = resp.AppendArray(c.out, len(all))
	for _, v := range all {
		c.out = resp.AppendArray(c.out, 3)
		c.out = resp.AppendInt(c.out, int64(v.Shard))
		c.out = resp.AppendInt(c.out, int64(v.Version))
		c.out = resp.AppendBulk(c.out, v.Word)
	}
}

// readingWords are the operator's words that change nothing; all others are
// taken from loopback only, until passwords exist.
var readingWords = map[string]bool{"status": true, "digest": true, "rebalance": true, "backup": true, "lineage": true}

func cmdAdmin(c *conn, args [][]byte) {
	words := make([]string, 0, len(args)-1)
	for _, a := range args[1:] {
		words = append(words, string(a))
	}
	if !readingWords[strings.ToLower(words[0])] && !c.sess.Loopback {
		c.fail("NOPERM operators' commands that change anything are taken from this machine only, until passwords exist")
		return
	}
	if !c.settle() {
		return
	}
	b, err := c.srv.backend.Admin(&c.sess, words)
	if err != nil {
		c.failWith(err)
		return
	}
	c.out = resp.AppendBulk(c.out, b)
}
