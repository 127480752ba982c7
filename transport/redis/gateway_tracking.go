package redis

import (
	"slices"
	"strings"
)

// CLIENT TRACKING on the gateway port: every key is taken back right behind the reply that
// gave it. A server may forget at any time what it tracks, and says so by an
// invalidation; this one remembers nothing. So clients that insist on tracking (rueidis
// does not connect without) work, and none answers from a cache what another node has
// changed. To remember was the other way: what the holder takes back comes by another
// connection than its replies, so each key would be noted before its command is forwarded,
// and held against what comes while it is under way; every gateway would hear of every
// write; and all for clients that could as well ask a client port.

// givenBack is the push that follows the reply of a command on the gateway port; nil when
// the client may not cache anything of it.
func (c *conn) givenBack(cmd *command, args [][]byte) []byte {
	t := &c.tracking
	if !c.gateway() || c.executing || c.sess.Proto < 3 || t.optIn && !t.caching || t.optOut && t.caching {
		return nil
	}
	var keys [][]byte
	if cmd.name == "exec" {
		words := c.multi.words
		for _, q := range c.multi.queue {
			keys = q.cmd.appendRead(keys, words[:q.words])
			words = words[q.words:]
		}
	} else {
		keys = cmd.appendRead(nil, args)
	}
	if t.bcast {
		keys = slices.DeleteFunc(keys, func(key []byte) bool { return !t.hears(key) })
	}
	if len(keys) == 0 {
		return nil
	}
	return invalidation(keys...)
}

// appendRead appends the keys that a command only reads.
func (c *command) appendRead(keys, args [][]byte) [][]byte {
	if _, any := c.firstKey(args); !any || !c.reads {
		return keys
	}
	first, last, step := c.keys(args)
	for i := first; i <= last; i += step {
		keys = append(keys, args[i])
	}
	return keys
}

// hears says whether a key has one of the prefixes.
func (t *tracking) hears(key []byte) bool {
	return slices.ContainsFunc(t.prefixes, func(p string) bool { return strings.HasPrefix(string(key), p) })
}

const errGatewayRedirect = "ERR CLIENT TRACKING with REDIRECT is not available on the gateway port: use the client port"

// gatewayTracking is CLIENT TRACKING without REDIRECT: what another connection is told
// comes in no order with the replies here, so a key would often be taken back before it
// is given.
func gatewayTracking(c *conn, cmd *command, args [][]byte) {
	if slices.ContainsFunc(args[3:], func(o []byte) bool { return is(o, "REDIRECT") }) {
		c.fail(errGatewayRedirect)
		return
	}
	cmd.run(c, args)
}
