package redis

import (
	"errors"
	"time"
)

// errLate refuses a command whose caller has given up. Nothing was done.
var errLate = errors.New("the deadline has passed")

func deadlineCommands() map[string]*command {
	return map[string]*command{
		"DEADLINE": {name: "client|deadline", arity: -2, flags: "noscript loading stale fast", rights: rightsConnection, run: cmdDeadline},
	}
}

// cmdDeadline is CLIENT DEADLINE [microseconds], for connections that said CLIENT CAPA
// aegis. Without a number it answers this node's clock, which counts from its start; with
// one, commands on keys that are taken up later than that are refused, until the next
// CLIENT DEADLINE: 0 means none. A time to live in place of the clock was the
// simpler way: it would begin anew after what a command waits in a socket.
func cmdDeadline(c *conn, args [][]byte) {
	if !c.capable.on {
		c.unknownSub(args)
		return
	}
	if len(args) == 2 {
		c.int(c.srv.since().Microseconds())
		return
	}
	us, ok := parseInt(args[2])
	if !ok || us < 0 || len(args) > 3 {
		c.fail(errInteger)
		return
	}
	c.until = time.Duration(us) * time.Microsecond
	c.ok()
}

// late says that the caller of the command under way has given up. Parts of a transaction
// are not refused one by one.
func (c *conn) late() bool {
	return c.until > 0 && !c.executing && c.srv.since() > c.until
}
